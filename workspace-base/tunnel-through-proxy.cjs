// global-agent takes whatever the proxy answers to CONNECT for a yes, so that a refusal looks like a
// broken connection; and it listens for errors itself, so that one that nobody else listens for ends
// a program with exit code 0, as if all were well. This reads the answer, and leaves errors alone.
'use strict';

const http = require('http');
const net = require('net');
const tls = require('tls');
const { default: Agent } = require('global-agent/dist/classes/Agent');
const { default: HttpsProxyAgent } = require('global-agent/dist/classes/HttpsProxyAgent');

HttpsProxyAgent.prototype.createConnection = function createConnection(configuration, callback) {
  const { host, port, proxy, tls: options } = configuration;
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  // a request with a connection of its own: agents, global-agent's too, are left out
  const request = new http.ClientRequest({
    method: 'CONNECT',
    path: authority,
    headers: { Host: authority },
    createConnection: () => net.connect(proxy.port, proxy.hostname),
  });
  request.once('connect', (answer, socket, head) => {
    if (answer.statusCode !== 200) {
      socket.destroy();
      const reason = answer.headers['x-hakoiri-reason'] ?? 'no reason given';
      callback(new Error(`the proxy refused ${authority}: ${answer.statusCode} (${reason})`));
      return;
    }
    if (head.length > 0) socket.unshift(head);
    callback(null, tls.connect({ ...options, socket }));
  });
  request.once('error', (error) => callback(error));
  request.end();
};

const { addRequest } = Agent.prototype;
Agent.prototype.addRequest = function addRequestAndListenNoMore(request, configuration) {
  const before = new Set(request.listeners('error'));
  addRequest.call(this, request, configuration);
  for (const listener of request.listeners('error')) {
    if (!before.has(listener)) request.removeListener('error', listener);
  }
};
