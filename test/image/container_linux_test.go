package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// container is what a runtime is told. The program gets the image's files as a
// root that is read only, an empty volume, and /proc; a user and no capability.
type container struct {
	Root   string // folder with the image's files
	Volume string // mount point of the volume
	User   int
	Args   []string
	Env    []string
}

const insideVariable = "ASSAY_TEST_CONTAINER"

func init() {
	enterContainer = func() {
		if raw := os.Getenv(insideVariable); raw != "" {
			var c container
			err := json.Unmarshal([]byte(raw), &c)
			if err == nil {
				err = c.become()
			}
			fmt.Fprintln(os.Stderr, "container:", err)
			os.Exit(1)
		}
	}
}

// start starts it in namespaces of its own; where the kernel does not allow that,
// the test is skipped. shared is what it has in common with this process.
func (c container) start(t *testing.T, shared uintptr, to *os.File) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{insideVariable + "=" + string(raw)}
	cmd.Stdout, cmd.Stderr = to, to
	const all = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNET
	identity := []syscall.SysProcIDMap{{Size: 1 << 16}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: all &^ shared, Pdeathsig: syscall.SIGKILL,
		UidMappings: identity, GidMappings: identity, GidMappingsEnableSetgroups: true,
	}
	// The thread that Pdeathsig speaks of must not end before the test.
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("WARNING: the image is NOT run as a container: this kernel makes no namespaces for user %d: %v", os.Getuid(), err)
	} else if err != nil {
		t.Fatal(err)
	}
	return cmd
}

// become does what a runtime does between the namespaces and the program.
func (c container) become() error {
	runtime.LockOSThread() // Capabilities belong to a thread.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount(c.Root, c.Root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting the root: %w", err)
	}
	if err := unix.Mount("proc", filepath.Join(c.Root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	options := fmt.Sprintf("size=64m,mode=0700,uid=%d,gid=%d", c.User, c.User)
	if err := unix.Mount("tmpfs", filepath.Join(c.Root, c.Volume), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("mounting the volume: %w", err)
	}
	if err := os.Chdir(c.Root); err != nil {
		return err
	}
	// The old root lies over the new one, and goes.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		return fmt.Errorf("making the root read only: %w", err)
	}
	if err := c.dropRights(); err != nil {
		return err
	}
	return unix.Exec(c.Args[0], c.Args, c.Env)
}

func (c container) dropRights() error {
	for capability := uintptr(0); ; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) && capability > 0 {
			break // There are no more.
		}
		if err != nil {
			return fmt.Errorf("dropping capability %d: %w", capability, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setresgid(c.User, c.User, c.User); err != nil {
		return fmt.Errorf("setresgid: %w", err)
	}
	return syscall.Setresuid(c.User, c.User, c.User)
}

// unpack writes an image's files into a folder, with mount points as a runtime
// makes them.
func unpack(t *testing.T, image v1.Image, mountPoints ...string) string {
	t.Helper()
	folder := t.TempDir()
	for parent := folder; parent != "/"; parent = filepath.Dir(parent) {
		if filepath.Base(filepath.Dir(parent)) == "tmp" {
			break
		}
		// Another user looks up its root on the way.
		_ = os.Chmod(filepath.Dir(parent), 0o755)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	entries, content := files(t, image)
	for name, e := range entries {
		target := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if name[len(name)-1] == '/' {
			continue
		}
		if err := os.WriteFile(target, content[name], os.FileMode(e.Mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range append(mountPoints, "proc") {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
