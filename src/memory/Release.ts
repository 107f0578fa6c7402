/**
 * What differs between releases of ZooKeeper, as clients see it.
 */
import { OpCode } from "../jute/OpCode.ts"

/**
 * Releases whose behaviour can be shown. "3.8" is 3.8.0 with the security fixes
 * that Debian carries; the others are the last of their line.
 */
export const compats = ["3.3", "3.4", "3.5", "3.6", "3.8", "3.9"] as const

export type Compat = typeof compats[number]

export interface Release {
  /** What `srvr` and `envi` say. */
  readonly version: string
  /** Operations that are known; any other is answered with Unimplemented and a closed connection. */
  readonly operations: ReadonlySet<number>
  /** Operations that a transaction may hold. */
  readonly multi: ReadonlySet<number>
  /** Whether the ConnectResponse ends with the byte that says so. */
  readonly readOnlyByte: boolean
  /** Whether `create2` inside a transaction is answered with a Stat. */
  readonly create2InMulti: boolean
  /** Whether a wrong create flag spoils the whole transaction instead of being one operation's error. */
  readonly multiParsesFlags: boolean
  /** Whether notifications carry the zxid of what they are about. */
  readonly eventZxid: boolean
  /** Whether one connection may watch a path in several modes at once; else the last mode wins. */
  readonly severalModes: boolean
  /** Whether notifications are withheld from those who may not read the znode. */
  readonly filtersEvents: boolean
  readonly existsNeedsRead: boolean
  readonly hardQuotas: boolean
}

const since33 = [
  OpCode.Create,
  OpCode.Delete,
  OpCode.Exists,
  OpCode.GetData,
  OpCode.SetData,
  OpCode.GetAcl,
  OpCode.SetAcl,
  OpCode.GetChildren,
  OpCode.Sync,
  OpCode.Ping,
  OpCode.GetChildren2,
  OpCode.Auth,
  OpCode.SetWatches,
  OpCode.CloseSession
]
const since34 = [...since33, OpCode.Check, OpCode.Multi, OpCode.Sasl]
const since35 = [
  ...since34,
  OpCode.Create2,
  OpCode.Reconfig,
  OpCode.CheckWatches,
  OpCode.RemoveWatches,
  OpCode.CreateContainer,
  OpCode.CreateTtl
]
const since36 = [
  ...since35,
  OpCode.MultiRead,
  OpCode.GetEphemerals,
  OpCode.GetAllChildrenNumber,
  OpCode.SetWatches2,
  OpCode.AddWatch
]
const since37 = [...since36, OpCode.WhoAmI]

const multi34 = [OpCode.Create, OpCode.Delete, OpCode.SetData, OpCode.Check]
const multi35 = [...multi34, OpCode.Create2, OpCode.CreateContainer, OpCode.CreateTtl]

const release34: Release = {
  version: "3.4.14",
  operations: new Set(since34),
  multi: new Set(multi34),
  readOnlyByte: true,
  create2InMulti: false,
  multiParsesFlags: false,
  eventZxid: false,
  severalModes: false,
  filtersEvents: false,
  existsNeedsRead: false,
  hardQuotas: false
}
const release35: Release = {
  ...release34,
  version: "3.5.10",
  operations: new Set(since35),
  multi: new Set(multi35)
}
const release36: Release = { ...release35, version: "3.6.4", operations: new Set(since36) }
const release38: Release = {
  ...release36,
  version: "3.8.0",
  operations: new Set(since37),
  filtersEvents: true,
  hardQuotas: true
}

export const releases: Readonly<Record<Compat, Release>> = {
  "3.3": { ...release34, version: "3.3.6", operations: new Set(since33), multi: new Set(), readOnlyByte: false },
  "3.4": release34,
  "3.5": release35,
  "3.6": release36,
  "3.8": release38,
  "3.9": {
    ...release38,
    version: "3.9.5",
    create2InMulti: true,
    multiParsesFlags: true,
    eventZxid: true,
    severalModes: true,
    existsNeedsRead: true,
    // A check outside of a transaction; before, it was done and not answered.
    operations: new Set(since37.filter((operation) => operation !== OpCode.Check))
  }
}
