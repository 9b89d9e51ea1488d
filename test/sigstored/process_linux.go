package sigstored

import (
	"os/exec"
	"syscall"
)

// tieToParent has the kernel end the program when this one ends, however it ends.
func tieToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
