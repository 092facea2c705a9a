// Workflows for Temporal's TypeScript SDK: one for each thing that a worker and a server have to agree about.
const wf = require('@temporalio/workflow');

const { greet, thirdTimeLucky, beats, refuses } = wf.proxyActivities({
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: '5 seconds',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: { initialInterval: '20 ms' },
});
const local = wf.proxyLocalActivities({ startToCloseTimeout: '1 minute' });

// Activities, a timer, a local activity, a retry, a patch.
exports.everyday = async function everyday(name) {
  const said = await greet(name);
  await wf.sleep(50);
  const patched = wf.patched('a-patch');
  return [said, await local.greet('local'), await thirdTimeLucky(), patched];
};

// Signals, a query, an update with its validator, and a wait for them.
const hear = wf.defineSignal('hear');
const words = wf.defineQuery('words');
const rename = wf.defineUpdate('rename');
exports.talks = async function talks() {
  const heard = [];
  let name = 'nobody';
  wf.setHandler(hear, (word) => void heard.push(word));
  wf.setHandler(words, () => heard.length);
  wf.setHandler(
    rename,
    async (to) => {
      const before = name;
      name = await greet(to);
      return before;
    },
    {
      validator: (to) => {
        if (!to) throw wf.ApplicationFailure.nonRetryable('a name is needed', 'Nameless');
      },
    }
  );
  await wf.condition(() => heard.includes('bye'));
  return [name, ...heard];
};

exports.fails = async function fails() {
  await refuses();
};

exports.cancellable = async function cancellable() {
  try {
    return await beats();
  } catch (error) {
    if (!wf.isCancellation(error)) throw error;
    return wf.CancellationScope.nonCancellable(() => greet('the cancelled'));
  }
};

exports.doubles = async function doubles(number) {
  if (number < 0) throw wf.ApplicationFailure.nonRetryable('negative', 'Negative');
  return number * 2;
};

exports.parent = async function parent() {
  const doubled = await wf.executeChild('doubles', { args: [21], workflowId: 'ts-child-1' });
  try {
    await wf.executeChild('doubles', { args: [-1], workflowId: 'ts-child-2' });
  } catch (error) {
    return [doubled, `${error.name}: ${error.cause.name}: ${error.cause.message}`];
  }
  return 'the second child should have failed';
};

exports.continues = async function continues(left) {
  if (left > 0) await wf.continueAsNew(left - 1);
  return 'done';
};

exports.searched = async function searched() {
  wf.upsertMemo({ note: 'upserted' });
  wf.upsertSearchAttributes({ CustomKeywordField: ['from the workflow'], CustomIntField: [7] });
  return wf.workflowInfo().searchAttributes.CustomKeywordField;
};
