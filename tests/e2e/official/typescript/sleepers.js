// Workflows for tests that skip time.
const wf = require('@temporalio/workflow');

const { failsTwice } = wf.proxyActivities({
  startToCloseTimeout: '1 day',
  retry: { initialInterval: '10 hours', backoffCoefficient: 1 },
});

exports.sleeps = async function sleeps(time) {
  const began = Date.now();
  await wf.sleep(time);
  return Date.now() - began;
};

exports.waitsForChild = async function waitsForChild() {
  return await wf.executeChild('sleeps', { args: ['10 days'] });
};

exports.triesAgain = async function triesAgain() {
  const began = Date.now();
  const attempts = await failsTwice();
  return [attempts, Math.round((Date.now() - began) / (10 * 60 * 60 * 1000))];
};

const tell = wf.defineSignal('tell');
exports.waits = async function waits() {
  let told = '';
  wf.setHandler(tell, (word) => {
    told = word;
  });
  const heard = await wf.condition(() => told !== '', '90 days');
  return heard ? told : 'nobody told';
};
