// mem0's own client, unmodified, does what its documentation says against the gateway.
const assert = require("node:assert/strict");
const { test } = require("node:test");
const { randomUUID } = require("node:crypto");
const { MemoryClient } = require("mem0ai");

const host = process.env.AGENTMEM_TEST_HOST;
const apiKey = process.env.AGENTMEM_TEST_KEY;
const client = new MemoryClient({ apiKey, host });

const own = () => `user ${randomUUID()}`;
const named = (name) => (error) => error.name === name;

async function add(userId, content, options = {}) {
  const answer = await client.add([{ role: "user", content }], { userId, infer: false, ...options });
  assert.equal(answer.status, "SUCCEEDED");
  return answer.results[0].id;
}

async function eventually(check) {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail("it never happened");
}

test("a ping tells the project", async () => {
  await client.ping();
  assert.ok(client.organizationId);
  assert.equal(client.projectId, "ours");
});

test("an add as every caller makes it leads to a memory", async () => {
  const userId = own();
  const answer = await client.add([{ role: "user", content: "I like tea" }], { userId });
  assert.equal(answer.status, "PENDING");
  assert.ok(answer.eventId);
  const filters = { user_id: userId };
  const search = async () => (await client.search("What do you know about me?", { filters })).results;
  await eventually(async () => (await search()).length === 1); // the index may come after the rows
  assert.equal((await search())[0].memory, "I like tea");
  assert.equal((await client.getAll({ filters })).count, 1);
});

test("what is added is read, listed, searched, changed and deleted", async () => {
  const userId = own();
  const metadata = { snake_key: { inner_key: 1 }, camelKey: true };
  const id = await add(userId, "I play the violin", { metadata, runId: "run 1", expirationDate: "2099-01-31" });
  const memory = await client.get(id);
  assert.equal(memory.memory, "I play the violin");
  assert.equal(memory.userId, userId);
  assert.equal(memory.runId, "run 1");
  assert.equal(memory.sessionId, "run 1");
  assert.deepEqual(memory.metadata, metadata);

  const found = await client.search("music", { filters: { userId }, topK: 3, threshold: 0.1 });
  assert.equal(found.results[0].id, id);
  assert.ok(found.results[0].score > 0.1);

  await client.update(id, { text: "I play the cello", metadata: { a: 1 } });
  assert.equal((await client.get(id)).memory, "I play the cello");
  await client.update(id, { expirationDate: null });
  assert.equal((await client.get(id)).expirationDate, null);

  await client.delete(id);
  await assert.rejects(client.get(id), named("MemoryNotFoundError"));
  const history = await client.history(id);
  assert.deepEqual(history.map((entry) => entry.event), ["ADD", "UPDATE", "UPDATE", "DELETE"]);
  assert.equal(history[0].oldMemory, null);
  assert.equal(history[1].newMemory, "I play the cello");
  assert.equal(history[3].memoryId, id);
});

test("filters are exact and nest", async () => {
  const userId = own();
  for (const [content, mood] of [["one", "good"], ["two", "bad"], ["three", 3]]) {
    await add(userId, content, { metadata: { mood } });
  }
  const texts = async (filter) => {
    const listed = await client.getAll({ filters: { AND: [{ userId }, filter] } });
    const found = await client.search("number", { filters: { AND: [{ userId }, filter] }, threshold: 0 });
    const ofSearch = found.results.map((one) => one.memory).sort();
    assert.deepEqual(listed.results.map((one) => one.memory).sort(), ofSearch);
    return ofSearch;
  };
  assert.deepEqual(await texts({ metadata: { mood: "good" } }), ["one"]);
  assert.deepEqual(await texts({ NOT: [{ metadata: { mood: { in: ["good", "bad"] } } }] }), ["three"]);
  assert.deepEqual(await texts({ OR: [{ metadata: { mood: { gte: 3 } } }, { keywords: { icontains: "TW" } }] }), ["three", "two"]);
  assert.deepEqual(await texts({ createdAt: { lt: "2001-01-01" } }), []);
  assert.equal((await client.getAll({ filters: { userId: userId.toUpperCase() } })).count, 0);
  await assert.rejects(texts({ metadata: { mood: { ">=": 3 } } }), /mood\.>=/);
  await assert.rejects(client.getAll({}), named("ValidationError"));
});

test("lists come in pages", async () => {
  const userId = own();
  for (const content of ["one", "two", "three"]) await add(userId, content);
  const page = await client.getAll({ filters: { userId }, page: 2, pageSize: 2 });
  assert.deepEqual([page.count, page.results.length, page.next], [3, 1, null]);
  assert.ok(page.previous);
});

test("batches change and delete", async () => {
  const userId = own();
  const ids = [await add(userId, "one"), await add(userId, "two")];
  await client.batchUpdate(ids.map((memoryId, n) => ({ memoryId, text: `new ${n}` })));
  assert.equal((await client.get(ids[1])).memory, "new 1");
  await client.batchDelete(ids);
  await assert.rejects(client.get(ids[0]), named("MemoryNotFoundError"));
  await assert.rejects(client.batchDelete([randomUUID()]), named("MemoryNotFoundError"));
});

test("users are listed and deleted, others stay", async () => {
  const [first, second] = [`${own()}/a b`, own()];
  await add(first, "one");
  await add(second, "two");
  const names = async () => (await client.users()).results.filter((one) => one.type === "user").map((one) => one.name);
  assert.ok((await names()).includes(first));
  assert.equal((await client.users({ page: 1, pageSize: 1 })).results.length, 1);
  await client.deleteUsers({ userId: first });
  const left = await names();
  assert.ok(!left.includes(first) && left.includes(second));
  await client.deleteAll({ userId: second });
  assert.ok(!(await names()).includes(second));
  await assert.rejects(client.deleteAll(), named("ValidationError"));
  await assert.rejects(client.deleteAll({ filters: { userId: second } }), named("ValidationError"));
});

test("the project keeps its settings", async () => {
  assert.ok("customInstructions" in (await client.getProject({ fields: ["custom_instructions"] })));
  await client.updateProject({ customInstructions: "be brief", customCategories: [{ snake_case: "words" }] });
  const project = await client.getProject({});
  assert.equal(project.customInstructions, "be brief");
  assert.deepEqual(project.customCategories, [{ snake_case: "words" }]);
  await client.updateProject({ customInstructions: null });
  assert.equal((await client.getProject({})).customInstructions, null);
});

test("feedback is taken, and what is not supported says so", async () => {
  const id = await add(own(), "one");
  const noted = await client.feedback({ memoryId: id, feedback: "POSITIVE", feedbackReason: "good" });
  assert.equal(noted.feedback, "POSITIVE");
  await assert.rejects(client.createMemoryExport({ schema: {}, filters: {} }), named("ValidationError"));
  await assert.rejects(client.search("x", { filters: { user_id: "a" }, rerank: true }), /rerank/);
  await assert.rejects(client.delete(id, { deleteLinked: true }), /delete_linked/);
});

test("a wrong key is told so", async () => {
  const stranger = new MemoryClient({ apiKey: "am_wrong", host });
  await assert.rejects(stranger.getAll({ filters: { user_id: "a" } }), named("AuthenticationError"));
});
