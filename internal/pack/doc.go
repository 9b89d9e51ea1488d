// Package pack makes OCI images of folders: of a Timoni module as `timoni mod
// push` does, of manifests as `flux push artifact` does, and of any files as one
// layer.
//
// It promises that
//   - the same files with the same modes give the same image, byte for byte,
//     with one release of Go, whose gzip takes part;
//   - a Timoni module gives the manifest and the layers that Timoni gives;
//   - what the controller would refuse is refused here: every layer is read back
//     by the code that publishes it (see internal/artifact);
//   - no password of a Git remote gets into an annotation.
//
// It opens no connection.
package pack
