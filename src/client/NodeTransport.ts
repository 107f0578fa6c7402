/**
 * TCP through Node. The only module here that needs Node.
 */
import { makeNet } from "@effect/platform-node/NodeSocket"
import type * as Effect from "effect/Effect"
import type * as Socket from "effect/socket/Socket"
import type { Host } from "../ConnectionString.ts"

/** A socket to one server; the name is resolved anew each time the socket's reader is acquired. */
export const dial = ({ host, port }: Host): Effect.Effect<Socket.Socket> => makeNet({ host, port, noDelay: true })
