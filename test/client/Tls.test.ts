import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Layer, Redacted } from "effect"
import { copyFileSync, readFileSync } from "node:fs"
import * as Acl from "../../src/Acl.ts"
import * as FourLetterWord from "../../src/client/FourLetterWord.ts"
import * as NodeTls from "../../src/client/NodeTls.ts"
import * as ServerProbe from "../../src/client/ServerProbe.ts"
import * as Sasl from "../../src/Sasl.ts"
import * as Tls from "../../src/Tls.ts"
import { layerConfig, ZooKeeperLive } from "../../src/ZooKeeper.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import * as Certificates from "../support/Certificates.ts"
import { connect, proxy, text, untilState } from "../support/Clients.ts"
import { assertHidden, exposed } from "../support/Exposure.ts"
import { logged } from "../support/Lines.ts"
import * as Proxy from "../support/Proxy.ts"
import * as TlsFront from "../support/TlsFront.ts"
import * as ZooKeeperServer from "../support/ZooKeeperServer.ts"

type Options = NonNullable<Parameters<typeof connect>[0]>

const secure = (port: number, host = "localhost") => `${host}:${port}`

const pem = (file: string) => readFileSync(file, "utf8")

/**
 * What is wrong with TLS, as building the client says it without a storm of connections; given more time where no
 * attempt came to an end.
 */
const problemWith = (
  port: number,
  options: Options,
  { host = "localhost", millis = 800 } = {}
): Effect.Effect<string> =>
  Effect.gen(function*() {
    const via = yield* Proxy.make(port)
    const hosts = secure(via.port, host)
    const error = yield* Effect.flip(Effect.scoped(connect({ ...options, hosts, connectTimeout: millis })))
    assert.isAtMost(via.accepted(), 10)
    if (!(error instanceof ConnectionError) || error.reason._tag !== "Unreachable") return String(error)
    const [failed] = error.reason.reasons ?? []
    if (failed === undefined || failed.reason.message.includes("no handshake within")) {
      return yield* problemWith(port, options, { host, millis: 3 * millis })
    }
    assert.include(error.message, failed.reason.message)
    return failed.reason._tag === "Tls" ? failed.reason.problem : failed.reason.message
  }).pipe(Effect.scoped, Effect.orDie)

describe.skipIf(!ZooKeeperServer.canStart || !Certificates.canMake)("TLS", () => {
  it.live("a server that wants a client certificate: identity, reconnects, renewal, words over TLS", () =>
    Effect.gen(function*() {
      const certificates = yield* Certificates.make
      const server = yield* ZooKeeperServer.standalone({ tls: { certificates, clientAuth: "want" } })
      const via = yield* Proxy.make(server.securePort)
      const own = { cert: certificates.cert("renewed"), key: certificates.key("renewed") }
      copyFileSync(certificates.cert("client"), own.cert)
      copyFileSync(certificates.key("client"), own.key)
      const tls = { ca: Tls.file(certificates.ca), cert: Tls.file(own.cert), key: Tls.file(own.key) }
      const zk = yield* connect({ hosts: secure(via.port), tls })
      assert.include(
        (yield* zk.whoAmI).map(({ authScheme, user }) => `${authScheme}:${user}`),
        "x509:CN=zkclient,OU=test"
      )
      const path = yield* zk.create("/secret", "mine", { acl: [Acl.x509("CN=zkclient,OU=test", "all")] })
      assert.strictEqual((yield* zk.serverFacts).mode, "standalone")
      // So does the search of a read-only client.
      assert.isTrue(yield* ServerProbe.hasQuorum(NodeTls.dial(tls), { host: "localhost", port: server.securePort }))
      assert.isFalse(yield* ServerProbe.hasQuorum(NodeTls.dial(tls), { host: "localhost", port: server.port }))

      const anonymous = yield* connect({ hosts: secure(server.securePort), tls: { ca: tls.ca } })
      assert.strictEqual((yield* Effect.flip(anonymous.get(path)))._tag, "NoAuth")

      // Renewed while connected, used from the next connection on.
      certificates.issue("second", { subject: "/OU=test/CN=second", names: "DNS:second" })
      copyFileSync(certificates.cert("second"), own.cert)
      copyFileSync(certificates.key("second"), own.key)
      const { id } = yield* zk.session
      via.cut()
      yield* untilState(zk, "Suspended")
      yield* untilState(zk, "Connected")
      assert.strictEqual((yield* zk.session).id, id)
      assert.include(
        (yield* zk.whoAmI).map(({ authScheme, user }) => `${authScheme}:${user}`),
        "x509:CN=second,OU=test"
      )
      assert.strictEqual((yield* Effect.flip(zk.get(path)))._tag, "NoAuth")
      const large = new Uint8Array(900_000).fill(7)
      yield* zk.create("/large", large)
      assert.deepStrictEqual((yield* zk.get("/large")).data, large)
    }), 60_000)

  it.live("a server that needs a client certificate: every form of ours and of authorities; none, a wrong one, a broken one", () =>
    Effect.gen(function*() {
      const certificates = yield* Certificates.make
      const server = yield* ZooKeeperServer.standalone({ tls: { certificates } })
      const hosts = secure(server.securePort)
      const ca = Tls.file(certificates.ca)
      const passphrase = Redacted.make(Certificates.passphrase)
      const { authorities, otherCa } = certificates
      const own = { cert: Tls.file(certificates.cert("client")), key: Tls.file(certificates.key("client")) }
      const accepted: ReadonlyArray<Tls.Options> = [
        // Of a bundle any may have signed.
        { ca: Tls.file(authorities), ...own },
        { ca: pem(authorities), ...own },
        { ca: [pem(otherCa), ca], ...own },
        { ca, cert: pem(certificates.cert("client")), key: Redacted.make(pem(certificates.key("client"))) },
        { ca: [pem(certificates.ca)], cert: Tls.file(certificates.cert("client")), key: Tls.file(certificates.encryptedKey("client")), passphrase },
        { ca, pkcs12: Tls.file(certificates.pkcs12("client")), passphrase },
        { ca, pkcs12: readFileSync(certificates.pkcs12("client")), passphrase: Certificates.passphrase, maxVersion: "TLSv1.2" }
      ]
      for (const tls of accepted) {
        const users = yield* Effect.scoped(Effect.flatMap(connect({ hosts, tls }), (zk) => zk.whoAmI))
        assert.include(users.map(({ user }) => user), "CN=zkclient,OU=test")
      }
      assert.strictEqual(yield* problemWith(server.securePort, { tls: { ca } }), "ClientCertificateRefused")
      const stranger = { cert: Tls.file(certificates.cert("stranger")), key: Tls.file(certificates.key("stranger")) }
      assert.strictEqual(yield* problemWith(server.securePort, { tls: { ca, ...stranger } }), "ClientCertificateRefused")
      assert.strictEqual(yield* problemWith(server.securePort, { tls: { ca, ...own, minVersion: "TLSv1.3" } }), "NothingInCommon")
      const old = { maxVersion: "TLSv1.2", ciphers: "AES128-SHA" } as const
      assert.strictEqual(yield* problemWith(server.securePort, { tls: { ca, ...own, ...old } }), "NothingInCommon")
      assert.strictEqual(yield* problemWith(server.securePort, { tls: { ca, ...own, key: Tls.file("/nowhere") } }), "BadCredentials")
      assert.strictEqual(
        yield* problemWith(server.securePort, { tls: { ca, ...own, key: stranger.key } }),
        "BadCredentials"
      )
      assert.strictEqual(
        yield* problemWith(server.securePort, {
          tls: { ca, cert: own.cert, key: Tls.file(certificates.encryptedKey("client")), passphrase: Redacted.make("not this") }
        }),
        "BadCredentials"
      )
      assert.strictEqual(yield* problemWith(server.securePort, { tls: { ...own } }), "UnknownAuthority")
      assert.strictEqual(yield* problemWith(server.securePort, { tls: { ca: Tls.file(otherCa), ...own } }), "UnknownAuthority")
      // By address: the certificate has it as an IP address, and no name is sent.
      yield* Effect.scoped(connect({ hosts: secure(server.securePort, "127.0.0.1"), tls: { ca, ...own } }))
      assert.strictEqual(yield* problemWith(server.securePort, { tls: { ca, ...own, servername: "other.example" } }), "WrongHost")
      // A port that speaks plain, and one that speaks TLS to a client that does not.
      assert.strictEqual(yield* problemWith(server.port, { tls: { ca, ...own } }), "PlainServer")
      assert.strictEqual(yield* problemWith(server.securePort, {}), "TlsServer")
    }), 90_000)

  it.live("the name that is asked for (SNI) is the one in hosts, or servername; never an address", () =>
    Effect.gen(function*() {
      const certificates = yield* Certificates.make
      const { names, port } = yield* TlsFront.make(certificates, (yield* proxy).port)
      const ca = Tls.file(certificates.ca)
      for (
        const [host, servername] of [
          ["localhost"],
          ["localhost."],
          ["127.0.0.1"],
          ["127.0.0.1", "localhost"],
          ["localhost", "127.0.0.1"]
        ] as const
      ) {
        // The resolver here may not know the name with a dot.
        const socket = yield* NodeTls.dial({ ca, servername })({ host, port }, (_, done) =>
          done(null, [{ address: "127.0.0.1", family: 4 }]))
        assert.strictEqual(yield* FourLetterWord.send(socket, "ruok", "5 seconds"), "imok")
      }
      assert.deepStrictEqual(names, ["localhost", "localhost", false, "localhost", false])
    }), 60_000)

  it.live("a renewal that went wrong: named in the log, backed off from, and the next good one saves the session", () =>
    Effect.gen(function*() {
      const certificates = yield* Certificates.make
      const server = yield* ZooKeeperServer.standalone({ tls: { certificates } })
      const via = yield* Proxy.make(server.securePort)
      const own = { cert: certificates.cert("own"), key: certificates.key("own") }
      const become = (name: string) => {
        copyFileSync(certificates.cert(name), own.cert)
        copyFileSync(certificates.key(name), own.key)
      }
      become("client")
      const [, lines] = yield* logged(Effect.gen(function*() {
        const zk = yield* connect({
          hosts: secure(via.port),
          sessionTimeout: "30 seconds",
          tls: { ca: Tls.file(certificates.ca), cert: Tls.file(own.cert), key: Tls.file(own.key) }
        })
        yield* zk.create("/kept", "", { mode: "ephemeral" })
        const { id } = yield* zk.session
        become("stranger")
        via.cut()
        yield* untilState(zk, "Suspended")
        const reading = yield* Effect.forkScoped(zk.get("/kept"), { startImmediately: true })
        yield* via.waitForConnection(4)
        become("client")
        const { stat } = yield* Fiber.join(reading)
        assert.strictEqual(stat.ephemeralOwner, id)
      }))
      assert.include(lines, "refuses our client certificate")
      assert.isAtMost(via.accepted(), 8)
    }), 60_000)

  it.live("a server that is mute before or in the handshake of TLS is left for the next one", () =>
    Effect.gen(function*() {
      const certificates = yield* Certificates.make
      const server = yield* ZooKeeperServer.standalone({ tls: { certificates, clientAuth: "none" } })
      const via = yield* Proxy.make(server.securePort)
      via.mute(true)
      const zk = yield* connect({
        hosts: [secure(via.port), secure(server.securePort)],
        tls: { ca: Tls.file(certificates.ca) }
      })
      yield* zk.exists("/")
    }), 60_000)

  it.live("TLS 1.3: the refusal that comes after the handshake is told as what it is, without a storm", () =>
    Effect.gen(function*() {
      const certificates = yield* Certificates.make
      const server = yield* ZooKeeperServer.standalone({ tls: { certificates, version: "TLSv1.3" } })
      const ca = Tls.file(certificates.ca)
      const own = { cert: Tls.file(certificates.cert("client")), key: Tls.file(certificates.key("client")) }
      yield* Effect.scoped(connect({ hosts: secure(server.securePort), tls: { ca, ...own } }))
      assert.strictEqual(yield* problemWith(server.securePort, { tls: { ca } }), "ClientCertificateRefused")
      assert.strictEqual(
        yield* problemWith(server.securePort, { tls: { ca, ...own, maxVersion: "TLSv1.2" } }),
        "NothingInCommon"
      )
    }), 60_000)

  for (
    const [shows, problem] of [
      ["expired", "ExpiredCertificate"],
      ["future", "NotYetValidCertificate"],
      ["elsewhere", "WrongHost"],
      ["stranger", "UnknownAuthority"]
    ] as const
  ) {
    it.live(`a server with a certificate that is "${shows}" is refused, also unasked for ours`, () =>
      Effect.gen(function*() {
        const certificates = yield* Certificates.make
        const server = yield* ZooKeeperServer.standalone({ tls: { certificates, shows, clientAuth: "none" } })
        const hosts = secure(server.securePort)
        const tls = { ca: Tls.file(certificates.ca) }
        assert.strictEqual(yield* problemWith(server.securePort, { tls }), problem)
        if (shows === "elsewhere") {
          assert.strictEqual(yield* problemWith(server.securePort, { tls }, { host: "127.0.0.1" }), problem)
          yield* Effect.scoped(connect({ hosts, tls: { ...tls, servername: "elsewhere.example" } }))
          yield* Effect.scoped(connect({ hosts, tls: { ...tls, dangerouslySkipVerification: "hostname" } }))
        } else {
          assert.strictEqual(yield* problemWith(server.securePort, { tls: { ...tls, dangerouslySkipVerification: "hostname" } }), problem)
        }
        yield* Effect.scoped(connect({ hosts, tls: { dangerouslySkipVerification: "all" } }))
      }), 60_000)
  }

  it.live("a port for both: plain and TLS clients side by side", () =>
    Effect.gen(function*() {
      const certificates = yield* Certificates.make
      const server = yield* ZooKeeperServer.standalone({ tls: { certificates, clientAuth: "want", unified: true } })
      const plain = yield* connect({ hosts: server.hosts })
      const own = { cert: Tls.file(certificates.cert("client")), key: Tls.file(certificates.key("client")) }
      const zk = yield* connect({ hosts: server.hosts, tls: { ca: Tls.file(certificates.ca), ...own } })
      yield* plain.create("/both", "sides")
      assert.strictEqual(text((yield* zk.get("/both")).data), "sides")
      assert.include((yield* zk.whoAmI).map(({ authScheme }) => authScheme), "x509")
    }), 60_000)

  it.live("contradictions are found before anything is dialled", () =>
    Effect.gen(function*() {
      const all: ReadonlyArray<Tls.Options> = [
        { cert: "x" },
        { key: "x" },
        { cert: "x", key: "x", pkcs12: new Uint8Array() },
        { passphrase: "x" },
        { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" }
      ]
      for (const tls of all) {
        const error = yield* Effect.flip(Effect.scoped(connect({ hosts: "localhost:1", tls })))
        assert.strictEqual(error._tag, "BadArguments")
      }
    }))

  it.live("no secret of TLS or SASL is in any option, log line, error, span, metric, state or inspection", () =>
    Effect.gen(function*() {
      const certificates = yield* Certificates.make
      const server = yield* ZooKeeperServer.standalone({ sasl: true, tls: { certificates } })
      const secret = "hunter2-of-the-client"
      const password = "secret-a"
      const key = pem(certificates.key("client"))
      const [, line = ""] = key.split("\n")
      const tls = {
        ca: Tls.file(certificates.ca),
        cert: Tls.file(certificates.cert("client")),
        key: Redacted.make(key)
      }
      const hosts = secure(server.securePort)
      const archive = readFileSync(certificates.pkcs12("client"))
      const encrypted = { ...tls, key: Tls.file(certificates.encryptedKey("client")) }
      const broken = Redacted.make(`-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----\n`)
      const refused: ReadonlyArray<Options> = [
        { hosts, tls, sasl: Sasl.digestMd5({ username: "alice", password: Redacted.make(secret) }) },
        { hosts, tls, sasl: Sasl.digestMd5({ username: "alice", password: secret }) },
        { hosts, tls: { ...encrypted, passphrase: Redacted.make(secret) } },
        { hosts, tls: { ca: tls.ca, pkcs12: Tls.file(certificates.pkcs12("client")), passphrase: Redacted.make(secret) } },
        { hosts, tls: { ...tls, key: broken } },
        { hosts, tls: { ...tls, passphrase: Redacted.make(secret), pkcs12: archive } }
      ]
      const [, text] = yield* exposed((show) =>
        Effect.gen(function*() {
          yield* Effect.scoped(Effect.gen(function*() {
            const options = {
              hosts,
              tls: { ...encrypted, passphrase: Redacted.make(Certificates.passphrase) },
              sasl: Sasl.digestMd5({ username: "alice", password: Redacted.make(password) })
            }
            const zk = yield* connect(options)
            show(options, ZooKeeperLive(options), zk, yield* zk.session, yield* zk.state, yield* zk.whoAmI)
            show(yield* Effect.exit(zk.get("/none")))
          }))
          for (const options of refused) {
            show(options, yield* Effect.exit(Effect.scoped(connect({ ...options, connectTimeout: "500 millis" }))))
          }
          const env = {
            ZOOKEEPER_HOSTS: hosts,
            ZOOKEEPER_SASL_USERNAME: "alice",
            ZOOKEEPER_SASL_PASSWORD: secret,
            ZOOKEEPER_TLS_PASSPHRASE: secret,
            ZOOKEEPER_TLS_MIN_VERSION: "SSLv3"
          }
          show(yield* Effect.exit(Effect.scoped(Effect.provide(
            Layer.build(layerConfig()),
            ConfigProvider.layer(ConfigProvider.fromEnv({ env }))
          ))))
        })
      )
      for (const hidden of [secret, password, Certificates.passphrase, line]) assertHidden(text, hidden)
      for (const told of ["refuses the credentials", "our own key", "ZOOKEEPER_TLS_MIN_VERSION"]) assert.include(text, told)
    }), 60_000)
})
