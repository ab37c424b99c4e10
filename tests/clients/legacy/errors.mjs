// What becomes of an error, for each way to ask. Run it with a token that is refused.
//   INTERCOM_ACCESS_TOKEN=invalid node legacy/errors.mjs
import intercom from 'intercom-client-legacy';
import { client } from './client.mjs';

const { BASE_URL: baseUrl, INTERCOM_ACCESS_TOKEN: token } = process.env;
const withCallbacks = new intercom.Client({ token }).useRequestOpts({ baseUrl });

// The number of parameters that the function declares decides: with one, errors look like data. Older guides do it like this.
await new Promise((done) => {
  withCallbacks.tags.list((response) => {
    console.log(`one parameter: data, ${response.body.type}`);
    done();
  });
});

await new Promise((done) => {
  withCallbacks.tags.list((error, response) => {
    console.log(`two parameters: ${error ? `error, ${error.statusCode} ${error.message}` : `data, ${response.body.type}`}`);
    done();
  });
});

await client.tags.list().then(
  (response) => console.log(`promise: data, ${response.body.type}`),
  (error) => console.log(`promise: error, ${error.statusCode} ${error.message}`),
);
