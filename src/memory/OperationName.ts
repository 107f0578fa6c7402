/** Requests go by the names that the client's operations have; several numbers can share one. */
import { OpCode } from "../jute/OpCode.ts"

/** The handshake has no header; here it goes by the number which servers themselves give it. */
export const connectOpCode = -10

const numbers = {
  connect: [connectOpCode],
  create: [OpCode.Create, OpCode.Create2, OpCode.CreateContainer, OpCode.CreateTtl],
  delete: [OpCode.Delete],
  exists: [OpCode.Exists],
  get: [OpCode.GetData],
  set: [OpCode.SetData],
  getAcl: [OpCode.GetAcl],
  setAcl: [OpCode.SetAcl],
  getChildren: [OpCode.GetChildren, OpCode.GetChildren2],
  sync: [OpCode.Sync],
  ping: [OpCode.Ping],
  transaction: [OpCode.Multi],
  getMany: [OpCode.MultiRead],
  reconfig: [OpCode.Reconfig],
  checkWatches: [OpCode.CheckWatches],
  removeWatches: [OpCode.RemoveWatches],
  addAuth: [OpCode.Auth],
  setWatches: [OpCode.SetWatches, OpCode.SetWatches2],
  sasl: [OpCode.Sasl],
  getEphemerals: [OpCode.GetEphemerals],
  countDescendants: [OpCode.GetAllChildrenNumber],
  watch: [OpCode.AddWatch],
  whoAmI: [OpCode.WhoAmI],
  close: [OpCode.CloseSession]
} as const

export type OperationName = keyof typeof numbers | "unknown"

const names = new Map<number, OperationName>(
  Object.entries(numbers).flatMap(([name, codes]) => codes.map((code) => [code, name as OperationName]))
)

export const nameOf = (opCode: number): OperationName => names.get(opCode) ?? "unknown"

const withoutPath: ReadonlySet<number> = new Set([
  connectOpCode,
  OpCode.Ping,
  OpCode.Multi,
  OpCode.MultiRead,
  OpCode.Reconfig,
  OpCode.Auth,
  OpCode.SetWatches,
  OpCode.SetWatches2,
  OpCode.Sasl,
  OpCode.WhoAmI,
  OpCode.CloseSession
])

/** Whether a request of this kind begins with the path that it is about. */
export const beginsWithPath = (opCode: number): boolean => names.has(opCode) && !withoutPath.has(opCode)
