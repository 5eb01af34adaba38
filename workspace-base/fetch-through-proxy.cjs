// Node's own fetch takes no proxy from the environment, and global-agent changes http and https
// alone. The dispatcher is installed at the first call: most programs make none, and loading it
// takes longer than starting Node.
'use strict';

const own = globalThis.fetch;

if (typeof own === 'function') {
  let isInstalled = false;

  const install = () => {
    isInstalled = true;
    const { emitWarning } = process;
    process.emitWarning = () => {}; // undici 6 calls its agent experimental at each start
    try {
      const { EnvHttpProxyAgent, setGlobalDispatcher } = require('undici');
      // plain HTTP is asked of the proxy: a tunnel to a plain port would hide the request from rules
      setGlobalDispatcher(new EnvHttpProxyAgent({ proxyTunnel: false }));
    } finally {
      process.emitWarning = emitWarning;
    }
  };

  const fetch = function fetch(input, init) {
    if (!isInstalled) install();
    return own(input, init);
  };
  Object.defineProperty(globalThis, 'fetch', { value: fetch, configurable: true, writable: true });
}
