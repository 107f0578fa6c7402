/** npm `node-zookeeper-client`, found from the directory that `BENCH_MODULES` names. */
import { createRequire } from "node:module"
import { join } from "node:path"
import { pump, run } from "./harness.ts"

type Done = (error: unknown, value: unknown) => void

interface Peer {
  readonly once: (event: string, listener: () => void) => void
  readonly connect: () => void
  readonly close: () => void
  readonly getData: ((path: string, done: Done) => void) & ((path: string, watcher: () => void, done: Done) => void)
  readonly setData: (path: string, data: Buffer, version: number, done: Done) => void
  readonly getChildren: (path: string, done: Done) => void
  readonly create: (path: string, data: Buffer, acl: unknown, mode: unknown, done: Done) => void
  readonly remove: (path: string, version: number, done: Done) => void
}

interface Library {
  readonly createClient: (hosts: string, options: object) => Peer
  readonly ACL: { readonly OPEN_ACL_UNSAFE: unknown }
  readonly CreateMode: { readonly EPHEMERAL_SEQUENTIAL: unknown }
}

const require = createRequire(join(process.env["BENCH_MODULES"] ?? process.cwd(), "x.js"))
const library = require("node-zookeeper-client") as Library

void run<Peer>({
  name: "node-zookeeper-client",
  connect: (hosts) =>
    new Promise((resolve) => {
      const client = library.createClient(hosts, { sessionTimeout: 30_000 })
      client.once("connected", () => resolve(client))
      client.connect()
    }),
  close: (client) =>
    new Promise((resolve) => {
      client.once("disconnected", resolve)
      client.close()
    }),
  get: (client, path) => new Promise((resolve) => client.getData(path, (_error, value) => resolve(value))),
  drive: (client, load) => {
    const { inflight, kind, ops, path } = load
    const data = Buffer.from(load.data)
    return pump(ops, inflight, (index, next) => {
      const done: Done = (error) => {
        load.end(index)
        next(error)
      }
      load.begin(index)
      switch (kind) {
        case "get":
          return client.getData(path, done)
        case "set":
          return client.setData(path, data, -1, done)
        case "children":
          return client.getChildren(path, done)
        case "createdel": {
          const { ACL, CreateMode } = library
          return client.create(path, data, ACL.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL, (error, created) =>
            error ? done(error, undefined) : client.remove(String(created), -1, done))
        }
      }
    })
  },
  watch: (client, paths, onEvent) =>
    pump(paths.length, 256, (index, done) => client.getData(paths[index] ?? "/", onEvent, done))
})
