// Package artifact turns the layers of a verified module into what the cluster
// downloads: it merges them into one tree, writes the tree as a deterministic
// archive, publishes the archive atomically with the signatures it was judged
// by beside it, retires what is superseded, and serves the archives over HTTP.
//
// It promises that
//   - nothing is published without a [verify.Verified], whose zero value is
//     refused;
//   - one tree gives one archive, byte for byte, for ever (see writeArchive);
//   - a layer is read to its end and within [Limits], in constant memory, and
//     what is not plainly a file or a folder below the artifact's root is
//     refused;
//   - no archive is ever on disk without its signatures, even after a crash,
//     so that it can be judged again under other trust without asking anybody;
//   - what is withdrawn is not served again, even if it cannot be removed;
//   - the disk is a cache: everything on it may be lost, and nothing on it but
//     the archives is served;
//   - the disk is not believed: no download ends well whose bytes are not those
//     of its name (see Server.Handler and Store.Holds).
//
// It imports the standard library and internal/verify only. It knows no
// Kubernetes and opens no connection; its only network is the HTTP server of
// the server*.go. imports_test.go holds it to that.
package artifact
