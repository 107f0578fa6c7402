/**
 * The JSON of service instances, byte for byte as Curator's discovery writes it.
 *
 * All members in this order, compact, null where there is nothing; `enabled`
 * only where it is false, because Curator's default serializer does not write it
 * and takes it for true where it is missing. Unknown members are ignored and
 * missing ones filled in, as Curator does.
 *
 * Payloads are plain JSON. What Curator writes of Java objects is read as well:
 * `"@class"` in objects, and `["java.lang.Long",5]` for values that JSON has no
 * type for.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { InvalidData } from "../../ZooKeeperError.ts"
import type { ServiceInstance } from "../ServiceRegistry.ts"

const nullable = <S extends Schema.Constraint>(schema: S) => Schema.optional(Schema.NullOr(schema))

const Wire = Schema.fromJsonString(Schema.Struct({
  name: Schema.String,
  id: Schema.String,
  address: nullable(Schema.String),
  port: nullable(Schema.Int),
  sslPort: nullable(Schema.Int),
  payload: Schema.optional(Schema.Unknown),
  registrationTimeUTC: nullable(Schema.Finite),
  serviceType: nullable(Schema.Literals(["DYNAMIC", "DYNAMIC_SEQUENTIAL", "STATIC", "PERMANENT"])),
  uriSpec: nullable(Schema.Struct({
    parts: Schema.Array(Schema.Struct({ value: Schema.String, variable: Schema.Boolean }))
  })),
  enabled: nullable(Schema.Boolean)
}))

export interface InstanceCodec<P> {
  /** Of an instance whose payload need not be readable; `None` where the data is none. */
  readonly idOf: (data: Uint8Array) => Effect.Effect<Option.Option<string>>
  readonly decode: (path: string, data: Uint8Array) => Effect.Effect<ServiceInstance<P>, InvalidData>
  readonly encode: (path: string, instance: ServiceInstance<P>) => Effect.Effect<Uint8Array, InvalidData>
}

const isObject = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const javaClass = /^(?:[a-z_]\w*\.)+[A-Z]\w*(?:\$\w+)*$/

/** A value without the Java types that Curator has put into it. */
const withoutJavaTypes = (value: unknown): unknown => {
  if (Array.isArray(value)) {
    const [type, typed] = value
    return value.length === 2 && typeof type === "string" && javaClass.test(type)
      ? withoutJavaTypes(typed)
      : value.map(withoutJavaTypes)
  }
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => key === "@class" ? [] : [[key, withoutJavaTypes(member)]])
  )
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const invalid = (path: string) => (error: Schema.SchemaError) => new InvalidData({ path, problem: error.message })

export const make = <P>(
  payload: Schema.Codec<P, unknown>,
  payloadClass: string | undefined
): InstanceCodec<P> => {
  const json = Schema.toCodecJson(payload)
  const decodePayload = Schema.decodeUnknownEffect(json)
  const encodePayload = Schema.encodeEffect(json)
  const decodeWire = Schema.decodeUnknownEffect(Wire)

  const payloadOf = (raw: unknown) =>
    raw === null || raw === undefined
      ? Effect.undefined
      // As it is first: a payload of ours may look like one of Java's.
      : Effect.catch(decodePayload(raw), (error) =>
        Effect.mapError(decodePayload(withoutJavaTypes(raw)), () => error))

  return {
    idOf: (data) => Effect.option(Effect.map(decodeWire(decoder.decode(data)), ({ id }) => id)),
    decode: (path, data) =>
      Effect.gen(function*() {
        const wire = yield* decodeWire(decoder.decode(data))
        return {
          name: wire.name,
          id: wire.id,
          address: wire.address ?? undefined,
          port: wire.port ?? undefined,
          sslPort: wire.sslPort ?? undefined,
          payload: yield* payloadOf(wire.payload),
          registrationTimeUTC: wire.registrationTimeUTC ?? 0,
          serviceType: wire.serviceType ?? "DYNAMIC",
          uriSpec: wire.uriSpec ?? undefined,
          enabled: wire.enabled ?? true
        }
      }).pipe(Effect.mapError(invalid(path))),
    encode: (path, instance) =>
      Effect.gen(function*() {
        const value = instance.payload === undefined ? null : yield* encodePayload(instance.payload)
        return encoder.encode(JSON.stringify({
          name: instance.name,
          id: instance.id,
          address: instance.address ?? null,
          port: instance.port ?? null,
          sslPort: instance.sslPort ?? null,
          payload: payloadClass !== undefined && isObject(value) ? { "@class": payloadClass, ...value } : value,
          registrationTimeUTC: instance.registrationTimeUTC,
          serviceType: instance.serviceType,
          uriSpec: instance.uriSpec ?? null,
          ...(instance.enabled ? {} : { enabled: false })
        }))
      }).pipe(Effect.mapError(invalid(path)))
  }
}
