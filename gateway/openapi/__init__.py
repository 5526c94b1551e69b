"""The gateway's description of itself: an OpenAPI 3.1 document made from the routes and the models beside them."""
