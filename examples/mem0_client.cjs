// mem0's JavaScript client, unmodified, with AgentMem behind it.
//
//   npm install mem0ai                       # here or elsewhere: NODE_PATH says where
//   set -a; . .agentmem/dev.env; set +a      # the address and the key of a stack that `make run` started
//   node examples/mem0_client.cjs
const { MemoryClient } = require("mem0ai");

const client = new MemoryClient({ host: process.env.AGENTMEM_URL, apiKey: process.env.AGENTMEM_API_KEY });
const userId = `ada-${Date.now()}`;

async function main() {
  // With infer: false each message becomes a memory as it is, and the answer comes when it is stored.
  const messages = [
    { role: "user", content: "I play the violin in a string quartet." },
    { role: "user", content: "My sister lives in Oslo." },
  ];
  const added = await client.add(messages, { userId, infer: false });
  console.log(`added ${added.results.length} memories`);

  const found = await client.search("Which instrument?", { filters: { userId }, topK: 1 });
  const { id, memory } = found.results[0];
  console.log(`found: ${memory}`);

  await client.update(id, { text: "I play the cello in a string quartet." });
  console.log(`now: ${(await client.get(id)).memory}`);

  await client.delete(id);
  for (const entry of await client.history(id)) {
    console.log(`${entry.event}: ${entry.oldMemory ?? "-"} -> ${entry.newMemory ?? "-"}`);
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
