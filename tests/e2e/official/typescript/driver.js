// Workflows of Temporal's TypeScript SDK against a server; what came of each is written down as JSON.
//
// Arguments: address, namespace, file to write.
//
// The same program runs against the embedded engine and against Temporal's own server, and what it finds has to be equal. So it
// notes nothing that differs from run to run: of histories the types of events, of failures the words.
const fs = require('node:fs');
const { Context, CancelledFailure } = require('@temporalio/activity');
const { Client, Connection } = require('@temporalio/client');
const { ApplicationFailure } = require('@temporalio/common');
const { NativeConnection, Runtime, Worker } = require('@temporalio/worker');

const [address, namespace, file] = process.argv.slice(2);
const taskQueue = 'typescript';

// Types of search attributes, by the API's numbers.
const KEYWORD = 2;
const INT = 3;

const activities = {
  greet: async (name) => `hello ${name}`,
  thirdTimeLucky: async () => {
    const { attempt } = Context.current().info;
    if (attempt < 3) throw ApplicationFailure.create({ message: 'not yet', type: 'NotYet' });
    return attempt;
  },
  beats: async () => {
    const context = Context.current();
    try {
      for (let beat = 0; ; beat += 1) {
        context.heartbeat(beat);
        await context.sleep(50);
      }
    } catch (error) {
      if (error instanceof CancelledFailure) throw error;
      return `ended by ${error}`;
    }
  },
  refuses: async () => {
    throw ApplicationFailure.nonRetryable('no', 'Refused', 'detail');
  },
};

function chain(error) {
  const words = [];
  for (let cause = error; cause; cause = cause.cause) words.push(`${cause.name}: ${cause.message}`);
  return words;
}

async function attempt(act) {
  try {
    return { result: await act() };
  } catch (error) {
    return { failure: chain(error) };
  }
}

// What the result of a workflow was, and which events led to it.
async function outcome(handle) {
  const ended = await attempt(() => handle.result());
  const { events } = await handle.fetchHistory();
  const { status, memo } = await handle.describe();
  return { ...ended, status: status.name, memo, events: events.map((event) => event.eventType) };
}

// A server takes a moment to know a search attribute that was added.
async function insist(act) {
  for (let look = 0; look < 300; look += 1) {
    const { result } = await attempt(act);
    if (result) return result;
    await pause(100);
  }
  return act();
}

async function cases(client) {
  const found = {};
  const attributes = { CustomKeywordField: KEYWORD, CustomIntField: INT };
  await client.connection.operatorService.addSearchAttributes({ namespace, searchAttributes: attributes });
  const start = (type, workflowId, args = [], more = {}) =>
    client.workflow.start(type, { taskQueue, workflowId, args, ...more });

  found.everyday = await outcome(await start('everyday', 'ts-everyday', ['you']));
  found.fails = await outcome(await start('fails', 'ts-fails'));
  const parent = await outcome(await start('parent', 'ts-parent'));
  // Which task of the parent a child's end falls into is not settled.
  found.parent = { result: parent.result, status: parent.status };
  found.continues = await outcome(await start('continues', 'ts-continues', [2]));
  found.again = await attempt(() =>
    start('doubles', 'ts-everyday', [1], { workflowIdReusePolicy: 'REJECT_DUPLICATE' })
  );

  const talks = await start('talks', 'ts-talks', [], { memo: { why: 'a memo' } });
  await talks.signal('hear', 'first');
  found.query = await attempt(() => talks.query('words'));
  found.unknownQuery = await attempt(() => talks.query('nonsense'));
  found.update = await attempt(() => talks.executeUpdate('rename', { args: ['ann'] }));
  found.refusedUpdate = await attempt(() => talks.executeUpdate('rename', { args: [''] }));
  await talks.signal('hear', 'bye');
  const talked = await outcome(talks);
  found.talks = { result: talked.result, status: talked.status, memo: talked.memo };
  found.signalTooLate = await attempt(() => talks.signal('hear', 'anyone?'));

  const cancellable = await start('cancellable', 'ts-cancellable');
  while (!(await cancellable.describe()).raw.pendingActivities?.[0]?.heartbeatDetails) await pause(20);
  await cancellable.cancel();
  found.cancelled = await outcome(cancellable);

  const terminated = await start('talks', 'ts-terminated');
  await terminated.terminate('enough');
  found.terminated = await attempt(() => terminated.result());
  found.nobody = await attempt(() => client.workflow.getHandle('ts-nobody').describe());

  const searchAttributes = { CustomKeywordField: ['from the start'] };
  found.searched = await outcome(await insist(() => start('searched', 'ts-searched', [], { searchAttributes })));
  found.listed = await listed(client, `CustomKeywordField = 'from the workflow' AND CustomIntField > 6`);
  found.counted = (await client.workflow.count(`WorkflowId STARTS_WITH 'ts-child'`)).count;
  found.badFilter = (await attempt(() => listed(client, 'Nonsense ='))).failure !== undefined;
  found.schedule = await scheduled(client);
  return found;
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// A server with a database of its own for lists shows an execution there a moment later.
async function listed(client, query) {
  for (let look = 0; look < 100; look += 1) {
    const ids = [];
    for await (const execution of client.workflow.list({ query })) ids.push(execution.workflowId);
    if (ids.length > 0) return ids;
    await pause(50);
  }
  return [];
}

async function scheduled(client) {
  const handle = await client.schedule.create({
    scheduleId: 'ts-schedule',
    spec: { calendars: [{ hour: 3, comment: 'at night' }], intervals: [{ every: '90m' }], timezone: 'Europe/Berlin' },
    action: { type: 'startWorkflow', workflowType: 'doubles', taskQueue, args: [4], workflowId: 'ts-scheduled' },
    state: { paused: true, note: 'not yet' },
    policies: { overlap: 'SKIP', catchupWindow: '1 day' },
  });
  await handle.trigger();
  let described = await handle.describe();
  while (described.info.recentActions.length === 0) {
    await pause(50);
    described = await handle.describe();
  }
  await handle.unpause('now');
  const { state, spec, policies } = await handle.describe();
  const again = await attempt(() => client.schedule.create({ ...described, scheduleId: 'ts-schedule' }));
  await handle.delete();
  // Its words tell how the server keeps schedules.
  const gone = (await attempt(() => handle.describe())).failure?.[0].split(':')[0];
  return { state: { ...state }, timezone: spec.timezone, policies, actions: described.info.numActionsTaken, again, gone };
}

async function main() {
  Runtime.install({ logger: { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error: console.error } });
  const connection = await Connection.connect({ address });
  const client = new Client({ connection, namespace });
  const worker = await Worker.create({
    connection: await NativeConnection.connect({ address }),
    namespace,
    taskQueue,
    workflowsPath: require.resolve('./workflows.js'),
    activities,
  });
  const found = await worker.runUntil(cases(client));
  fs.writeFileSync(file, JSON.stringify(found));
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  }
);
