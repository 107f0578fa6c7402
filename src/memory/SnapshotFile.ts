/** The snapshot of a server as a file, through Node. Failures are made of what is wrong, in words. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { existsSync } from "node:fs"
import { readFile, rename, writeFile } from "node:fs/promises"
import type { Server } from "./Server.ts"
import * as Snapshot from "./Snapshot.ts"

const detailOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** Puts a new server where the file says; a file that is not there says nothing. */
export const load = <E>(server: Server, file: string, failure: (detail: string) => E): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    if (!existsSync(file)) return Effect.void
    return Effect.tryPromise({ try: () => readFile(file, "utf8"), catch: (cause) => failure(detailOf(cause)) }).pipe(
      Effect.flatMap((text) =>
        Schema.decodeEffect(Snapshot.FromJson)(text).pipe(
          Effect.flatMap((snapshot) => Snapshot.load(server, snapshot)),
          Effect.mapError(({ message }) => failure(message))
        )
      )
    )
  })

/** Writes the file anew: whoever reads it sees the old one or the new one. */
export const save = <E>(server: Server, file: string, failure: (detail: string) => E): Effect.Effect<void, E> =>
  Effect.suspend(() => Schema.encodeEffect(Snapshot.FromJson)(Snapshot.save(server))).pipe(
    Effect.mapError(({ message }) => failure(message)),
    Effect.flatMap((text) =>
      Effect.tryPromise({
        try: async () => {
          await writeFile(`${file}.new`, text)
          await rename(`${file}.new`, file)
        },
        catch: (cause) => failure(detailOf(cause))
      })
    )
  )
