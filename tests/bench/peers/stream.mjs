// What a careful script would do: the answer as a stream, inflated as it comes, cut into records by
// hand, each record parsed for what one wants to know of it, and all of them in a file, one a line.
//
//   stream.mjs URL TOKEN-FILE BODY-FILE OUT-FILE
//
// Prints how many records there were.
import { createWriteStream, readFileSync } from "node:fs";
import { request } from "node:http";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";

const [url, tokenFile, bodyFile, outFile] = process.argv.slice(2);
const QUOTE = 0x22, BACKSLASH = 0x5c, OPEN = 0x7b, CLOSE = 0x7d;
const PIECE = 256 * 1024;

class Splitter extends Writable {
	constructor(file) {
		super({ highWaterMark: PIECE });
		this.file = file;
		this.depth = 0;
		this.inText = this.escaped = false;
		this.begun = []; // pieces of a record that began in an earlier chunk
		this.count = 0;
		this.failed = 0;
	}

	take(text) {
		const record = JSON.parse(text);
		this.count++;
		if (record.status === "Failed")
			this.failed++;
	}

	_write(chunk, encoding, done) {
		let start = this.depth > 0 ? 0 : -1;
		const lines = [];
		for (let i = 0; i < chunk.length; i++) {
			const c = chunk[i];
			if (this.inText) {
				if (this.escaped)
					this.escaped = false;
				else if (c === BACKSLASH)
					this.escaped = true;
				else if (c === QUOTE)
					this.inText = false;
			} else if (c === QUOTE) {
				this.inText = true;
			} else if (c === OPEN) {
				if (this.depth++ === 0)
					start = i;
			} else if (c === CLOSE && --this.depth === 0) {
				this.begun.push(chunk.subarray(start, i + 1));
				const text = (this.begun.length > 1 ? Buffer.concat(this.begun) : this.begun[0]).toString();
				this.begun = [];
				this.take(text);
				lines.push(text, "\n");
				start = -1;
			}
		}
		if (start >= 0)
			this.begun.push(Buffer.from(chunk.subarray(start)));
		if (lines.length === 0 || this.file.write(lines.join("")))
			done();
		else
			this.file.once("drain", done);
	}

	_final(done) {
		this.file.end(done);
	}
}

const call = request(url, { method: "POST", headers: {
	"Authorization": `Bearer ${readFileSync(tokenFile, "utf8")}`, "Content-Type": "application/json" } });
call.end(readFileSync(bodyFile));
const answer = await new Promise((resolve, reject) => call.on("response", resolve).on("error", reject));
if (answer.statusCode !== 200)
	throw new Error(`the answer is ${answer.statusCode}`);
const splitter = new Splitter(createWriteStream(outFile, { highWaterMark: 4 * PIECE }));
await pipeline(answer, createGunzip({ chunkSize: PIECE }), splitter);
console.log(splitter.count);
