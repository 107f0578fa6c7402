#!/usr/bin/env node
/** `effect-zookeeper-server`: the in-memory ZooKeeper on a TCP port, for tests and for trying things out. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { readFileSync } from "node:fs"
import { compats } from "../memory/Release.ts"
import * as MemoryZooKeeper from "../MemoryZooKeeper.ts"

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

const serve = Command.make("effect-zookeeper-server", {
  port: Flag.Int("port").pipe(
    Flag.withAlias("p"),
    Flag.withDefault(2181),
    Flag.withDescription("Port to listen on; 0 takes any that is free")
  ),
  host: Flag.String("host").pipe(
    Flag.withDefault("127.0.0.1"),
    Flag.withDescription("Address to listen on; 0.0.0.0 for all")
  ),
  size: Flag.Int("size").pipe(
    Flag.withDefault(1),
    Flag.withDescription("How many servers: as many ports in a row, to one and the same tree")
  ),
  tickTime: Flag.Int("tick-time").pipe(
    Flag.withDefault(2000),
    Flag.withDescription("The unit of time in ms; session timeouts are granted between 2 and 20 of it")
  ),
  compat: Flag.Literals("compat", compats).pipe(
    Flag.withDefault("3.9"),
    Flag.withDescription("The release of ZooKeeper whose behaviour is shown")
  ),
  snapshot: Flag.String("snapshot").pipe(
    Flag.optional,
    Flag.withDescription("File to load the tree from, and to save it to at the end")
  )
}, ({ snapshot, ...options }) =>
  Effect.gen(function*() {
    const { hosts } = yield* MemoryZooKeeper.listen({ ...options, snapshot: Option.getOrUndefined(snapshot) })
    yield* Console.log(`In-memory ZooKeeper listening on ${hosts}`)
    yield* Console.log("For tests only, not a production server: one process, no replication. Stop it with Ctrl-C.")
    return yield* Effect.never
  }).pipe(
    Effect.scoped,
    Effect.catchTag(["ListenError", "SnapshotError"], (cause) =>
      Effect.fail(new CliError.UserError({ cause, userMessage: cause.message })))
  )).pipe(
    Command.withDescription("A ZooKeeper server in memory, for tests and for trying things out. Not a production server.")
  )

Command.run(serve, { version }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
