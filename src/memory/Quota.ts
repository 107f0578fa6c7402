/**
 * Quotas: limits and usage of a subtree, kept as text in znodes under
 * `/zookeeper/quota`.
 */

export const root = "/zookeeper/quota"
export const limitsName = "zookeeper_limits"
export const statsName = "zookeeper_stats"

export const limitsPath = (path: string): string => `${root}${path}/${limitsName}`
export const statsPath = (path: string): string => `${root}${path}/${statsName}`

/** `count=2,bytes=-1=;byteHardLimit=-1;countHardLimit=5`. What is absent is -1: no limit. */
export class Track {
  private readonly values: Map<string, number>

  constructor(data: Uint8Array | null) {
    const text = data === null ? "" : new TextDecoder().decode(data)
    this.values = new Map(
      (text === "" ? "count=-1,bytes=-1" : text).split(/[,;]+/).flatMap((pair) => {
        const [key = "", value = ""] = pair.split("=")
        return key === "" ? [] : [[key, value === "" || Number.isNaN(Number(value)) ? -1 : Number(value)]]
      })
    )
  }

  private of(key: string): number {
    return this.values.get(key) ?? -1
  }

  get count(): number {
    return this.of("count")
  }

  get bytes(): number {
    return this.of("bytes")
  }

  get countHardLimit(): number {
    return this.of("countHardLimit")
  }

  get byteHardLimit(): number {
    return this.of("byteHardLimit")
  }

  /** The text after a change of usage. */
  plus(count: number, bytes: number): Uint8Array {
    return encode(this.count + count, this.bytes + bytes, [...this.values])
  }
}

const encode = (count: number, bytes: number, values: ReadonlyArray<readonly [string, number]>): Uint8Array => {
  const others = values.filter(([key]) => key !== "count" && key !== "bytes")
  const rest = others.length === 0 ? "" : `=;${others.map(([key, value]) => `${key}=${value}`).join(";")}`
  return new TextEncoder().encode(`count=${count},bytes=${bytes}${rest}`)
}

export const usage = (count: number, bytes: number): Uint8Array => encode(count, bytes, [])
