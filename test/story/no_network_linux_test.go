package story

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/assay-dev/assay/controllers"
)

// A process that has this variable runs in a network namespace of its own, in
// which there is nothing but loopback, with the whole control plane.
const noNetworkVariable = "ASSAY_TEST_NO_NETWORK"

func init() {
	if os.Getenv(noNetworkVariable) == "" {
		return
	}
	if err := loopbackUp(); err != nil {
		fmt.Fprintln(os.Stderr, "bringing loopback up:", err)
		os.Exit(3)
	}
}

// loopbackUp brings up the loopback interface: in a new namespace it is down.
// https://man7.org/linux/man-pages/man7/netdevice.7.html
func loopbackUp() error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP}
	copy(request.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}

// TestNoNetwork runs TestInsideNoNetwork where there is no network.
func TestNoNetwork(t *testing.T) {
	t.Parallel()
	if os.Getenv(noNetworkVariable) != "" {
		t.Skip("this is the process that has none")
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestInsideNoNetwork$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), noNetworkVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		t.Skipf("NOT TESTED: this machine lets nobody make a network namespace: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInsideNoNetwork") {
		t.Fatalf("expected TestInsideNoNetwork to pass, found %v\n%s", err, out)
	}
}

// TestInsideNoNetwork takes a keyed and a keyless source the whole way, with a
// trusted root from a file, in both formats and with both kinds of registry.
// Every attempt to reach anything but loopback finds no route, which the kernel
// counts.
func TestInsideNoNetwork(t *testing.T) {
	if os.Getenv(noNetworkVariable) == "" {
		t.Skip("run by TestNoNetwork")
	}
	public, _ := sigstores(t)
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, settings{kind: kind, options: func(o *controllers.Options) { rootFile(t, public.TrustedRoot())(o) }})
			for _, format := range []string{"cosign", "bundle"} {
				w.release("keyed-"+format, "1.0.0", format)
				w.apply("keyed-"+format, w.spec("keyed-"+format, versioned("1.0.0")))
				wantConditions(t, w.settled("keyed-"+format), isVerified)

				w.signAs(public, ciRelease, "keyless-"+format, w.push("keyless-"+format, "1.0.0", nil), format)
				w.apply("keyless-"+format, w.spec("keyless-"+format, trusting(by("ci", ciRelease))))
				wantConditions(t, w.settled("keyless-"+format), isVerified)

				// What is refused asks nobody either.
				w.signAs(public, auditor, "refused-"+format, w.push("refused-"+format, "1.0.0", nil), format)
				w.apply("refused-"+format, w.spec("refused-"+format, trusting(by("ci", ciRelease))))
				wantConditions(t, w.settled("refused-"+format), map[string]string{"Verified": "False/IdentityMismatch"})
			}
			w.stopController()
		})
	}
	if n := noRoutes(t); n != 0 {
		t.Errorf("expected no attempt to reach anything but loopback, found %d", n)
	}
	for _, address := range []string{"192.0.2.1:443", "[2001:db8::1]:443"} {
		before := noRoutes(t)
		ctx, cancel := context.WithTimeout(background, 5*time.Second)
		defer cancel()
		if _, err := (&net.Dialer{}).DialContext(ctx, "tcp", address); err == nil {
			t.Fatalf("expected no way to %s", address)
		}
		if noRoutes(t) == before {
			t.Errorf("the test is blind: dialing %s was not counted", address)
		}
	}
}

// noRoutes is how often this namespace had something to send and no route.
func noRoutes(t *testing.T) int {
	t.Helper()
	v4, err := os.ReadFile("/proc/self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names, values []string
	for line := range strings.SplitSeq(string(v4), "\n") {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == "Ip:" {
			names, values = values, fields
		}
	}
	total := 0
	for i, name := range names {
		if name == "OutNoRoutes" {
			total += number(t, values[i])
		}
	}
	v6, err := os.ReadFile("/proc/self/net/snmp6")
	if err != nil {
		return total // No IPv6 at all.
	}
	for line := range strings.SplitSeq(string(v6), "\n") {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "Ip6OutNoRoutes" {
			total += number(t, fields[1])
		}
	}
	return total
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
