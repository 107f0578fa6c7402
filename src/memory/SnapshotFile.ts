/** The snapshot of a server as a file, through Node. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readFile, rename, writeFile } from "node:fs/promises"
import type { Server } from "./Server.ts"
import * as Snapshot from "./Snapshot.ts"

const toError = (cause: unknown): Error => cause instanceof Error ? cause : new Error(String(cause))

const isMissing = (error: Error): boolean => "code" in error && error.code === "ENOENT"

/** Puts a new server where the file says; a file that is not there says nothing. */
export const load = (server: Server, file: string): Effect.Effect<void, Error> =>
  Effect.tryPromise({ try: () => readFile(file, "utf8"), catch: toError }).pipe(
    Effect.flatMap((text) => Effect.mapError(Schema.decodeEffect(Snapshot.FromJson)(text), toError)),
    Effect.flatMap((snapshot) => Snapshot.load(server, snapshot)),
    Effect.catchIf((error) => isMissing(error), () => Effect.void)
  )

/** Writes the file anew: whoever reads it sees the old one or the new one. */
export const save = (server: Server, file: string): Effect.Effect<void, Error> =>
  Effect.suspend(() => Schema.encodeEffect(Snapshot.FromJson)(Snapshot.save(server))).pipe(
    Effect.mapError(toError),
    Effect.flatMap((text) =>
      Effect.tryPromise({
        try: async () => {
          await writeFile(`${file}.new`, text)
          await rename(`${file}.new`, file)
        },
        catch: toError
      })
    )
  )
