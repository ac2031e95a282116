// A server that has its records as objects and serialises them for each request.
//
//   stringify.mjs PAGE-FILE PORT
//
// PAGE-FILE is an answer of the gateway's; what is sent is made of it anew each time.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";

const [file, port] = process.argv.slice(2);
const page = JSON.parse(readFileSync(file, "utf8"));

createServer((request, response) => {
	const body = Buffer.from(JSON.stringify(page));
	response.writeHead(200, { "Content-Type": "application/json", "Content-Length": body.length });
	response.end(body);
}).listen(Number(port), "127.0.0.1");
