/**
 * How an operation is served: what is read, what is done, what is answered.
 */
import type * as Schema from "effect/Schema"
import * as Jute from "../jute/Jute.ts"
import type { Connection } from "./Connection.ts"

export interface Operation {
  readonly opCode: number
  /**
   * Reads the request, does it, and returns what writes the body of the reply;
   * `undefined`: there is no reply. Throws `Refusal` and `JuteError`.
   */
  readonly serve: (connection: Connection, reader: Jute.Reader) => ((writer: Jute.Writer) => void) | undefined
}

export const operation = <Request, Response>(
  schemas: {
    readonly opCode: number
    readonly request: Schema.Codec<Request, unknown>
    readonly response: Schema.Codec<Response, unknown>
  },
  handle: (connection: Connection, request: Request) => Response
): Operation => {
  const request = Jute.layoutOf(schemas.request)
  const response = Jute.layoutOf(schemas.response)
  return {
    opCode: schemas.opCode,
    serve: (connection, reader) => {
      const answer = handle(connection, request.read(reader))
      return (writer) => response.write(writer, answer)
    }
  }
}
