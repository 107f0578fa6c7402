/**
 * A client of Debian's python3-kazoo in a process of its own, for mixed fleets.
 * What it can do: the commands of `kazooPeer.py`.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { spawn, spawnSync } from "node:child_process"
import { join } from "node:path"
import { createInterface } from "node:readline"

/** kazoo's own python: Debian's. Another one may be named. */
const python = process.env["KAZOO_PYTHON"] ?? "/usr/bin/python3"

/** The version of kazoo, or why there is none. */
export const installed: { readonly version: string } | { readonly problem: string } = (() => {
  const { error, status, stderr, stdout } = spawnSync(
    python,
    ["-c", "import kazoo.version; print(kazoo.version.__version__)"],
    { encoding: "utf8" }
  )
  return status === 0
    ? { version: stdout.trim() }
    : { problem: `${python}: ${error?.message ?? stderr.trim().split("\n").at(-1) ?? "no kazoo"}` }
})()

export const isInstalled = "version" in installed

/** kazoo raised an exception. */
export class KazooError extends Schema.TaggedError<KazooError>()("KazooError", {
  /** The name of its class. */
  error: Schema.String,
  message: Schema.String
}) {}

export interface KazooPeer {
  /** Runs a command, and returns what it answers. Interruption stops the waiting, not the command. */
  readonly run: (command: string, given?: { readonly [name: string]: unknown }) => Effect.Effect<unknown, KazooError>
  /** Ends the process without a word to the server: its session goes on until it expires. */
  readonly kill: Effect.Effect<void>
}

const Answer = Schema.fromJsonString(Schema.Union([
  Schema.Struct({ ready: Schema.Literal(true) }),
  Schema.Struct({ id: Schema.Int, error: Schema.String, message: Schema.String }),
  Schema.Struct({ id: Schema.Int, value: Schema.Unknown })
]))

/** A connected peer, for as long as the scope is open. `sessionTimeout` in seconds. */
export const make = (hosts: string, sessionTimeout = 10): Effect.Effect<KazooPeer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const ready = yield* Deferred.make<void, KazooError>()
    const pending = new Map<number, Deferred.Deferred<unknown, KazooError>>()
    let last = 0
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(python, [join(import.meta.dirname, "kazooPeer.py"), hosts, String(sessionTimeout)], {
          stdio: ["pipe", "pipe", "inherit"]
        })
      ),
      (process) =>
        Effect.callback<void>((resume) => {
          if (process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
          process.once("exit", () => resume(Effect.void))
          // It closes its session then, and goes.
          process.stdin.end()
        }).pipe(
          Effect.timeoutOrElse({ duration: "5 seconds", orElse: () => Effect.sync(() => void process.kill("SIGKILL")) })
        )
    )
    const ended = () => {
      const exit = Exit.fail(new KazooError({ error: "Ended", message: "the peer has ended" }))
      Deferred.doneUnsafe(ready, exit)
      for (const each of pending.values()) Deferred.doneUnsafe(each, exit)
    }
    child.once("exit", ended)
    createInterface({ input: child.stdout }).on("line", (line) => {
      const answer = Schema.decodeSync(Answer)(line)
      if ("ready" in answer) {
        Deferred.doneUnsafe(ready, Exit.void)
        return
      }
      const waiting = pending.get(answer.id)
      pending.delete(answer.id)
      if (waiting === undefined) return
      Deferred.doneUnsafe(
        waiting,
        "error" in answer ? Exit.fail(new KazooError(answer)) : Exit.succeed(answer.value)
      )
    })
    yield* Effect.orDie(Deferred.await(ready))
    return {
      run: (command, given = {}) =>
        Effect.suspend(() => {
          const id = last++
          const answer = Deferred.makeUnsafe<unknown, KazooError>()
          pending.set(id, answer)
          child.stdin.write(`${JSON.stringify({ id, do: command, with: given })}\n`)
          return Deferred.await(answer)
        }),
      kill: Effect.sync(() => void child.kill("SIGKILL"))
    }
  })
