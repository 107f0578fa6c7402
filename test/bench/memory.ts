import * as Clock from "effect/Clock"
import * as Jute from "../../src/jute/Jute.ts"
import { operations as op } from "../../src/jute/Protocol.ts"
import * as Protocol from "../../src/jute/Protocol.ts"
import { Server } from "../../src/memory/Server.ts"
const open = [{ perms: 31, id: { scheme: "world", id: "anyone" } }]
const N = 100_000
const frames = (count: number, one: (writer: Jute.Writer, index: number) => void) => {
  const chunks: Array<Uint8Array> = []
  const writer = new Jute.Writer()
  for (let i = 0; i < count; i++) { writer.begin(); one(writer, i); writer.end(); if (i % 200 === 199) chunks.push(...writer.drain()) }
  chunks.push(...writer.drain())
  return chunks
}
const time = (name: string, f: () => void) => { const at = performance.now(); f(); const ms = performance.now() - at; console.log(name, ms.toFixed(1), "ms") }
const run = () => {
  let server!: Server
  let bytes = 0
  let peer!: ReturnType<Server["accept"]>
  time("start+handshake", () => {
    server = new Server({}, Clock.Clock.defaultValue())
    peer = server.accept({ remoteAddress: "127.0.0.1", listener: "a:1", send: (b) => { bytes += b.length }, close: () => { throw new Error("closed") } })
    for (const c of frames(1, (w) => Jute.layoutOf(Protocol.ConnectRequest).write(w, { protocolVersion: 0, lastZxidSeen: 0n, timeOut: 10000, sessionId: 0n, passwd: new Uint8Array(16), readOnly: false }))) peer.receive(c)
  })
  const creates = frames(N, (w, i) => { w.int(i + 1); w.int(1); Jute.layoutOf(op.create.request).write(w, { path: `/node-${i}`, data: new Uint8Array(10), acl: open, flags: 0 }) })
  const gets = frames(N, (w, i) => { w.int(i + 1); w.int(4); Jute.layoutOf(op.getData.request).write(w, { path: `/node-${i}`, watch: false }) })
  const sets = frames(N, (w, i) => { w.int(i + 1); w.int(5); Jute.layoutOf(op.setData.request).write(w, { path: `/node-${i}`, data: new Uint8Array(10), version: -1 }) })
  const deletes = frames(N, (w, i) => { w.int(i + 1); w.int(2); Jute.layoutOf(op.delete.request).write(w, { path: `/node-${i}`, version: -1 }) })
  globalThis.gc?.(); const before = process.memoryUsage()
  time("creates", () => { for (const c of creates) peer.receive(c) })
  globalThis.gc?.(); const after = process.memoryUsage()
  console.log("bytes per znode", ((after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers) / N).toFixed(0))
  time("gets", () => { for (const c of gets) peer.receive(c) })
  time("sets", () => { for (const c of sets) peer.receive(c) })
  time("deletes", () => { for (const c of deletes) peer.receive(c) })
  console.log(bytes, server.defects)
}
for (let r = 0; r < 3; r++) run()
