//go:build !linux

package sigstored

import "os/exec"

// tieToParent does nothing: there is no way that all systems have.
func tieToParent(*exec.Cmd) {}
