// What users' own workflow tests do: Temporal's TypeScript test environment, with the engine in the place of the test server.
//
// Arguments: program that stands in for Temporal's test server, file to write. What it finds is written down as JSON.
const fs = require('node:fs');
const { Context } = require('@temporalio/activity');
const { TestWorkflowEnvironment } = require('@temporalio/testing');
const { Worker } = require('@temporalio/worker');

const [program, file] = process.argv.slice(2);
const taskQueue = 'tests';
const DAY = 24 * 60 * 60 * 1000;

const activities = {
  failsTwice: async () => {
    const { attempt } = Context.current().info;
    if (attempt < 3) throw new Error('not yet');
    return attempt;
  },
};

// Days, to a hundredth of one.
const days = (milliseconds) => Math.round((100 * milliseconds) / DAY) / 100;

async function skips(environment) {
  const { client } = environment;
  const options = (workflowId, ...args) => ({ taskQueue, workflowId, args });
  const found = {};
  const began = Date.now();
  found['a month'] = days(await client.workflow.execute('sleeps', options('month', '30 days')));
  found['a child'] = days(await client.workflow.execute('waitsForChild', options('parent')));
  found['attempts'] = await client.workflow.execute('triesAgain', options('works'));
  found['timed out'] = await client.workflow.execute('waits', options('forgotten'));

  const handle = await client.workflow.start('waits', options('told'));
  const before = await environment.currentTimeMs();
  await environment.sleep('80 days');
  found['slept'] = days((await environment.currentTimeMs()) - before);
  await handle.signal('tell', 'in time');
  found['told'] = await handle.result();
  found['quick'] = Date.now() - began < 60_000;
  return found;
}

async function main() {
  const server = { executable: { type: 'existing-path', path: program } };
  const environment = await TestWorkflowEnvironment.createTimeSkipping({ server });
  try {
    const worker = await Worker.create({
      connection: environment.nativeConnection,
      taskQueue,
      activities,
      workflowsPath: require.resolve('./sleepers.js'),
    });
    const found = await worker.runUntil(skips(environment));
    fs.writeFileSync(file, JSON.stringify(found));
  } finally {
    await environment.teardown();
  }
}

main().then(
  // What the SDK still holds open does not keep the program here.
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  }
);
