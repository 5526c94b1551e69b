// The validator that Swagger UI knows is an outside address.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#operations", deepLinking: true, validatorUrl: null });
