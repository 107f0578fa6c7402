/**
 * The record of a lease, byte for byte as kazoo's `json.dumps` writes it and as
 * strictly as its `strptime` reads it.
 */
import * as Result from "effect/Result"

export interface LeaseRecord {
  readonly version: unknown
  readonly holder: string
  /** In ms since the epoch. */
  readonly end: number
}

/** Times are written in whole seconds, and what is over is cut off. */
export const wholeSecond = (millis: number): number => Math.floor(millis / 1000) * 1000

/** Python escapes all that is not printable ASCII, in lower case and by UTF-16 units, as JSON.stringify does a few. */
const pythonString = (text: string): string =>
  JSON.stringify(text).replaceAll(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

export const encode = ({ end, holder }: LeaseRecord): string =>
  `{"version": 1, "holder": ${pythonString(holder)}, "end": "${new Date(end).toISOString().slice(0, 19)}"}`

const time = /^(\d{4})-(\d{1,2})-(\d{1,2})T(\d{1,2}):(\d{1,2}):(\d{1,2})$/

const parseTime = (text: string): number | undefined => {
  const [year, month, day, hour, minute, second] = (time.exec(text) ?? []).slice(1).map(Number)
  if (
    year === undefined || month === undefined || day === undefined || hour === undefined || minute === undefined
    || second === undefined || year < 1 || hour > 23 || minute > 59 || second > 59
  ) return undefined
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  // The 31st of February would be another day.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined
  return date.getTime() + ((hour * 60 + minute) * 60 + second) * 1000
}

const parse = (data: Uint8Array): Result.Result<unknown, unknown> =>
  Result.try(() => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data)))

const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** What a record says, or what is wrong with it. Of another version nothing but that is known. */
export const decode = (data: Uint8Array): Result.Result<LeaseRecord, string> => {
  const parsed = parse(data)
  if (Result.isFailure(parsed) || !isRecord(parsed.success)) return Result.fail("it is no JSON object")
  const { end, holder, version } = parsed.success
  if (version === undefined) return Result.fail("it has no version")
  if (version !== 1) return Result.succeed({ version, holder: "", end: 0 })
  if (typeof holder !== "string") return Result.fail("its holder is no text")
  const millis = typeof end === "string" ? parseTime(end) : undefined
  return millis === undefined
    ? Result.fail("its end is no time like 2026-01-31T23:59:59")
    : Result.succeed({ version, holder, end: millis })
}
