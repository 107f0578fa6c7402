/** A port that speaks TLS, in front of one that does not. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { readFileSync } from "node:fs"
import { connect } from "node:net"
import { createServer, type TLSSocket } from "node:tls"
import type { Certificates } from "./Certificates.ts"

export interface TlsFront {
  readonly port: number
  /** What clients asked for by SNI; `false` where they did not. */
  readonly names: ReadonlyArray<string | false | null>
}

export const make = (certificates: Certificates, behind: number): Effect.Effect<TlsFront, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly front: TlsFront; readonly close: () => void }>((resume) => {
        const names: Array<string | false | null> = []
        const open = new Set<TLSSocket>()
        const options = {
          cert: readFileSync(certificates.cert("server")),
          key: readFileSync(certificates.key("server"))
        }
        const server = createServer(options, (socket) => {
          names.push(socket.servername)
          open.add(socket)
          const back = connect(behind, "127.0.0.1")
          socket.pipe(back)
          back.pipe(socket)
          socket.on("error", () => {}).on("close", () => {
            open.delete(socket)
            back.destroy()
          })
          back.on("error", () => {}).on("close", () => socket.destroySoon())
        })
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          const close = () => {
            server.close()
            for (const socket of open) socket.destroy()
          }
          resume(Effect.succeed({ front: { port, names }, close }))
        })
      }),
      ({ close }) => Effect.sync(close)
    ),
    ({ front }) => front
  )
