// Which texts does Node's crypto write, and which can it read? The two layouts of the platform, on stdin as JSON.
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

function sealBase64(key, text) {
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString("base64");
}

function openBase64(key, text) {
  const all = Buffer.from(text, "base64");
  const decipher = createDecipheriv("aes-256-gcm", key, all.subarray(0, 12));
  decipher.setAuthTag(all.subarray(12, 28));
  return Buffer.concat([decipher.update(all.subarray(28)), decipher.final()]).toString("utf8");
}

function sealHex(key, text) {
  const iv = randomBytes(16);
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  const sealed = cipher.update(text, "utf8", "hex") + cipher.final("hex");
  return [iv.toString("hex"), sealed, cipher.getAuthTag().toString("hex")].join(":");
}

function openHex(key, text) {
  const [iv, sealed, tag] = text.split(":");
  const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(iv, "hex"));
  decipher.setAuthTag(Buffer.from(tag, "hex"));
  return decipher.update(sealed, "hex", "utf8") + decipher.final("utf8");
}

const work = { seal: { base64: sealBase64, hex: sealHex }, open: { base64: openBase64, hex: openHex } };
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { action, shape, key, texts } = JSON.parse(Buffer.concat(chunks).toString("utf8"));
const bytes = Buffer.from(key, shape === "hex" ? "hex" : "base64");
process.stdout.write(JSON.stringify(texts.map((text) => work[action][shape](bytes, text))));
