/** A name server that knows the SRV records it is told, and nothing else. */
import * as Effect from "effect/Effect"
import { createSocket } from "node:dgram"

export interface Srv {
  readonly target: string
  readonly port: number
}

const nameOf = (text: string): Buffer =>
  Buffer.concat([
    ...text.split(".").filter((label) => label !== "").map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.of(0)
  ])

const recordOf = ({ port, target }: Srv): Buffer => {
  const name = nameOf(target)
  const record = Buffer.alloc(18)
  // The name of the question, SRV, IN, an hour; then length, priority, weight, port.
  record.writeUInt16BE(0xc00c, 0)
  record.writeUInt16BE(33, 2)
  record.writeUInt16BE(1, 4)
  record.writeUInt32BE(3600, 6)
  record.writeUInt16BE(6 + name.length, 10)
  record.writeUInt16BE(port, 16)
  return Buffer.concat([record, name])
}

const answer = (query: Buffer, records: ReadonlyArray<Srv>): Buffer => {
  const end = query.indexOf(0, 12) + 5
  const head = Buffer.from(query.subarray(0, 12))
  head.writeUInt16BE(records.length === 0 ? 0x8183 : 0x8180, 2)
  head.writeUInt16BE(records.length, 6)
  head.fill(0, 8, 12)
  return Buffer.concat([head, query.subarray(12, end), ...records.map(recordOf)])
}

/** Its address, as `dns.setServers` takes it. */
export const make = (records: () => ReadonlyArray<Srv>) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly address: string; readonly close: () => void }>((resume) => {
      const socket = createSocket("udp4")
      socket.on("message", (query, { address, port }) => socket.send(answer(query, records()), port, address))
      socket.bind(0, "127.0.0.1", () =>
        resume(Effect.succeed({ address: `127.0.0.1:${socket.address().port}`, close: () => socket.close() })))
    }),
    ({ close }) => Effect.sync(close)
  )
