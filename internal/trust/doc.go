// Package trust keeps the controller's default trusted root: Sigstore's
// trusted_root.json, from a TUF repository or from a file.
//
// It promises that
//   - [Source.Snapshot] never waits: a refresh happens in the background, and
//     holds nothing that anybody else needs;
//   - a mirror is asked for the first time when somebody needs its root: where
//     nobody does, the controller speaks to its registries alone;
//   - over TUF, no trusted_root.json is used that the repository's keys do not
//     vouch for, beginning with the root.json that was given; a root.json,
//     timestamp, snapshot or targets metadata older than one that was verified
//     before is refused for as long as the process lives (all of it is kept in
//     memory; a new process begins with the root.json that was given);
//   - a refresh that fails, or a mirror that lies, changes nothing: the last
//     good root stays in use, over TUF until its own metadata expires;
//   - what is read is bounded in size and time, and nothing of it is repeated
//     in an error or in the log;
//   - nothing is read from or written to a disk but the file that was named,
//     no environment variable is read but those of the proxy, and no state of
//     the process as a whole is touched.
//
// It follows the client workflow of the TUF specification with go-tuf's
// trusted metadata set, which judges signatures, versions and expiry, and does
// the requests itself. It does not use go-tuf's updater: that one looks for
// metadata in the working directory even when told not to cache, knows no
// context, and forgets timestamp and snapshot, and with them what it takes to
// refuse older ones, from one refresh to the next.
// https://theupdateframework.github.io/specification/latest/#detailed-client-workflow
//
// It imports internal/verify for the parsed root, and nothing else of ours; no
// Kubernetes. Requests are made in client.go only. imports_test.go holds it to
// that.
package trust
