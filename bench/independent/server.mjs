// A central system on `ocpp-rpc` (npm), which has an implementation and schemas of its own and is strict about both directions.
//
//   npm install --no-save ocpp-rpc@2.2.1     (anywhere; NODE_PATH does not work for modules: run it from there)
//   node server.mjs PORT
//
// Answers what a charge point sends, asks each question a central system can ask, and prints one JSON line per event.
// Whatever its strict mode does not like ends up in a line of its own, {"event": "strict", ...}.
import { createRequire } from 'node:module';
const { RPCServer } = createRequire(process.cwd() + '/')('ocpp-rpc');

const say = (event, more) => console.log(JSON.stringify({ event, ...more }));
const server = new RPCServer({ protocols: ['ocpp1.6'], strictMode: true, respondWithDetailedErrors: true });
server.auth((accept) => accept({}));

const questions = [
  ['GetConfiguration', {}],
  ['ChangeConfiguration', { key: 'MeterValueSampleInterval', value: '1' }],
  ['GetLocalListVersion', {}],
  ['SendLocalList', { listVersion: 1, updateType: 'Full', localAuthorizationList: [{ idTag: 'A', idTagInfo: { status: 'Accepted' } }] }],
  ['TriggerMessage', { requestedMessage: 'MeterValues', connectorId: 1 }],
  ['TriggerMessage', { requestedMessage: 'StatusNotification' }],
  ['SetChargingProfile', { connectorId: 1, csChargingProfiles: { chargingProfileId: 1, stackLevel: 0, chargingProfilePurpose: 'TxDefaultProfile',
    chargingProfileKind: 'Absolute', chargingSchedule: { chargingRateUnit: 'A', chargingSchedulePeriod: [{ startPeriod: 0, limit: 16 }] } } }],
  ['GetCompositeSchedule', { connectorId: 1, duration: 600 }],
  ['GetCompositeSchedule', { connectorId: 0, duration: 600, chargingRateUnit: 'W' }],
  ['ClearChargingProfile', { id: 1 }],
  ['ReserveNow', { connectorId: 2, expiryDate: '2100-01-01T00:00:00Z', idTag: 'A', reservationId: 1 }],
  ['CancelReservation', { reservationId: 1 }],
  ['ChangeAvailability', { connectorId: 2, type: 'Inoperative' }],
  ['ChangeAvailability', { connectorId: 2, type: 'Operative' }],
  ['ClearCache', {}],
  ['DataTransfer', { vendorId: 'org.example' }],
];

server.on('client', (client) => {
  let transaction = 0;
  client.on('strictValidationFailure', (failure) => say('strict', { method: failure.method, text: String(failure.error?.details?.errors?.map?.((e) => e.message) ?? failure.error) }));
  client.on('badMessage', (bad) => say('strict', { text: String(bad.error) }));
  client.on('disconnect', () => say('disconnected', {}));
  client.handle(({ method, params }) => {
    say('call', { method, params });
    const now = new Date().toISOString();
    if (method === 'BootNotification') {
      setTimeout(() => ask(client), 1500);
      return { status: 'Accepted', currentTime: now, interval: 300 };
    }
    if (method === 'Heartbeat') return { currentTime: now };
    if (method === 'Authorize') return { idTagInfo: { status: 'Accepted' } };
    if (method === 'StartTransaction') return { transactionId: ++transaction, idTagInfo: { status: 'Accepted' } };
    if (method === 'StopTransaction') return {};
    return {};
  });
});

async function ask(client) {
  for (const [method, params] of questions) {
    try {
      say('answer', { method, params: await client.call(method, params) });
    } catch (error) {
      say('strict', { method, text: `${error.rpcErrorCode ?? ''} ${error.message}` });
    }
  }
  say('asked', {});
}

process.on('SIGTERM', () => process.exit(0));
await server.listen(Number(process.argv[2]), '127.0.0.1');
say('listening', {});
