/**
 * What callers give, checked before anything is sent.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Acl from "../Acl.ts"
import * as ZNode from "../Znode.ts"
import * as ZnodePath from "../ZnodePath.ts"
import type { Data } from "../ZooKeeper.ts"
import { BadArguments } from "../ZooKeeperError.ts"

const encoder = new TextEncoder()

/** Strings are stored as UTF-8. */
export const bytesOf = (data: Data): Uint8Array => typeof data === "string" ? encoder.encode(data) : data

export const refuse = (argument: string, value: unknown, problem: string): BadArguments =>
  new BadArguments({ argument, value: String(value).slice(0, 100), problem })

const longestTtl = 2 ** 40 - 1

const isInt32 = (value: number): boolean => (value | 0) === value

export const versionProblem = (version: number): BadArguments | undefined =>
  isInt32(version) ? undefined : refuse("version", version, "must be a whole number of 32 bits; -1 means any")

export const createProblem = (
  path: string,
  mode: ZNode.CreateMode,
  acl: ReadonlyArray<Acl.Acl>
): BadArguments | undefined => {
  const pathProblem = ZNode.isSequential(mode) ? ZnodePath.sequentialProblemOf(path) : ZnodePath.problemOf(path)
  if (pathProblem !== undefined) return refuse("path", path, pathProblem)
  const aclProblem = Acl.problemOf(acl)
  return aclProblem === undefined ? undefined : refuse("acl", JSON.stringify(acl), aclProblem)
}

/** The TTL in ms, 0 for a mode that has none. */
export const ttlOf = (mode: ZNode.CreateMode, ttl: Duration.Input | undefined): number | BadArguments => {
  const takesTtl = mode === "persistentTtl" || mode === "persistentSequentialTtl"
  if (!takesTtl) return ttl === undefined ? 0 : refuse("ttl", ttl, `mode ${mode} has no ttl`)
  const given = ttl === undefined ? Option.none() : Duration.fromInput(ttl)
  const millis = Option.isNone(given) ? Number.NaN : Duration.toMillis(given.value)
  return Number.isSafeInteger(millis) && millis >= 1 && millis <= longestTtl
    ? millis
    : refuse("ttl", ttl, `must be whole milliseconds, from 1 to ${longestTtl}`)
}
