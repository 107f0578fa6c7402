/**
 * The operations inside `multi` and `multiRead`. A server is stricter and more
 * lenient than a client that reads its own: which operations it knows depends
 * on its release, and a list without any ACL is that one operation's error.
 */
import * as Schema from "effect/Schema"
import * as Jute from "../jute/Jute.ts"
import { OpCode } from "../jute/OpCode.ts"
import { Acl, MultiHeader, operations as protocol } from "../jute/Protocol.ts"
import type { Release } from "./Release.ts"

const acl = Schema.NullOr(Schema.Array(Acl))

/** As `Protocol` has them, but for the ACL that may be null. */
export const Create = Schema.Struct({
  path: Jute.Text,
  data: Schema.NullOr(Jute.Bytes),
  acl,
  flags: Jute.Int
})
export const CreateTtl = Schema.Struct({
  path: Jute.Text,
  data: Schema.NullOr(Jute.Bytes),
  acl,
  flags: Jute.Int,
  ttl: Jute.Millis
})
export const SetAcl = Schema.Struct({ path: Jute.Text, acl, version: Jute.Int })

export type Write =
  | {
    readonly type: typeof OpCode.Create | typeof OpCode.Create2 | typeof OpCode.CreateContainer
    readonly request: typeof Create.Type
  }
  | { readonly type: typeof OpCode.CreateTtl; readonly request: typeof CreateTtl.Type }
  | { readonly type: typeof OpCode.Delete | typeof OpCode.Check; readonly request: { path: string; version: number } }
  | {
    readonly type: typeof OpCode.SetData
    readonly request: { path: string; data: Uint8Array | null; version: number }
  }

export interface Read {
  readonly type: typeof OpCode.GetData | typeof OpCode.GetChildren
  readonly request: { readonly path: string }
}

const header = Jute.layoutOf(MultiHeader)
const create = Jute.layoutOf(Create)
const createTtl = Jute.layoutOf(CreateTtl)
const remove = Jute.layoutOf(protocol.delete.request)
const setData = Jute.layoutOf(protocol.setData.request)
const getData = Jute.layoutOf(protocol.getData.request)

const sequence = <A>(reader: Jute.Reader, readOne: (type: number) => A): ReadonlyArray<A> => {
  const out: Array<A> = []
  while (true) {
    const { done, type } = header.read(reader)
    if (done) return out
    out.push(readOne(type))
  }
}

const unknown = (reader: Jute.Reader, type: number) => reader.problem(`operation ${type} in a transaction`)

/** Throws `JuteError` where the whole transaction cannot be understood. */
export const readWrites = (reader: Jute.Reader, release: Release): ReadonlyArray<Write> =>
  sequence(reader, (type): Write => {
    if (!release.multi.has(type)) throw unknown(reader, type)
    const flagsOf = <A extends { readonly flags: number }>(request: A): A => {
      if (release.multiParsesFlags && !isCreateFlag(request.flags)) throw reader.problem(`flags ${request.flags}`)
      return request
    }
    switch (type) {
      case OpCode.Create:
      case OpCode.Create2:
      case OpCode.CreateContainer:
        return { type, request: flagsOf(create.read(reader)) }
      case OpCode.CreateTtl:
        return { type, request: flagsOf(createTtl.read(reader)) }
      case OpCode.Delete:
      case OpCode.Check:
        return { type, request: remove.read(reader) }
      case OpCode.SetData:
        return { type, request: setData.read(reader) }
      default:
        throw unknown(reader, type)
    }
  })

export const readReads = (reader: Jute.Reader): ReadonlyArray<Read> =>
  sequence(reader, (type): Read => {
    if (type !== OpCode.GetData && type !== OpCode.GetChildren) throw unknown(reader, type)
    return { type, request: getData.read(reader) }
  })

/** Persistent and ephemeral, each sequential or not; container; TTL, sequential or not. */
export const isCreateFlag = (flags: number): boolean => flags >= 0 && flags <= 6
