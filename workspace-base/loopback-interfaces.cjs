// The box has no network, and its system-call filter lets nobody ask the kernel for the interfaces.
// Node throws then, and development servers ask at their start: they get what there is, loopback.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const { syncBuiltinESMExports } = require('node:module');

const own = os.networkInterfaces;
const LOOPBACK = { mac: '00:00:00:00:00:00', internal: true };
const V4 = { address: '127.0.0.1', netmask: '255.0.0.0', family: 'IPv4', cidr: '127.0.0.1/8' };
const V6 = {
  address: '::1',
  netmask: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  family: 'IPv6',
  cidr: '::1/128',
  scopeid: 0,
};

const hasV6 = () => {
  try {
    return fs.readFileSync('/proc/net/if_inet6', 'latin1').includes(' lo');
  } catch {
    return false;
  }
};

os.networkInterfaces = function networkInterfaces() {
  try {
    return own();
  } catch (error) {
    if (error.code !== 'ERR_SYSTEM_ERROR') throw error;
    return { lo: [V4, ...(hasV6() ? [V6] : [])].map((one) => ({ ...one, ...LOOPBACK })) };
  }
};
syncBuiltinESMExports();
