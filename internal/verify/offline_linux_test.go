//go:build amd64 || arm64

package verify_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// A process that has this variable loses, before its first test, the system
// calls with which it could ask anybody anything: all of them, or all but that
// which opens files, by its value.
const (
	offlineVariable = "ASSAY_TEST_OFFLINE"
	butFiles        = "but-files"
)

func init() {
	calls := []uint32{syscall.SYS_SOCKET, syscall.SYS_CONNECT, syscall.SYS_EXECVE}
	switch os.Getenv(offlineVariable) {
	case "":
		return
	case butFiles:
	default:
		calls = append(calls, syscall.SYS_OPENAT)
	}
	if err := killOn(calls...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// killOn has the kernel send SIGSYS, of which Go dies with a stack trace, to
// whichever thread of this process makes one of these system calls. That is
// more than to let them fail: code that tries and goes on is found too.
// https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
func killOn(calls ...uint32) error {
	const (
		prSetNoNewPrivs = 38
		setModeFilter   = 1
		allThreads      = 1
		actionTrap      = 0x00030000
		actionAllow     = 0x7fff0000
	)
	filter := []syscall.SockFilter{{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: 0}} // the call's number
	for _, call := range calls {
		filter = append(filter,
			syscall.SockFilter{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: call, Jf: 1},
			syscall.SockFilter{Code: syscall.BPF_RET | syscall.BPF_K, K: actionTrap})
	}
	filter = append(filter, syscall.SockFilter{Code: syscall.BPF_RET | syscall.BPF_K, K: actionAllow})
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	seccomp := map[string]uintptr{"amd64": 317, "arm64": 277}[runtime.GOARCH]

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("giving up new privileges: %w", errno)
	}
	if _, _, errno := syscall.RawSyscall(seccomp, setModeFilter, allThreads, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return fmt.Errorf("installing the filter: %w", errno)
	}
	return nil
}

// hostile is an environment in which every variable that Sigstore's tools, TUF
// or Go's HTTP client look at says something wrong.
func hostile() []string {
	environment := []string{offlineVariable + "=all"}
	if testing.CoverMode() != "" { // which is written to a file in the end
		environment[0] = offlineVariable + "=" + butFiles
	}
	for _, name := range []string{
		"SIGSTORE_ROOT_FILE", "SIGSTORE_REKOR_PUBLIC_KEY", "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE",
		"SIGSTORE_TSA_CERTIFICATE_FILE", "TUF_ROOT", "TUF_ROOT_JSON", "COSIGN_PUBLIC_KEY",
		"COSIGN_REPOSITORY", "COSIGN_PASSWORD", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE",
		"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR",
	} {
		environment = append(environment, name+"=/nonexistent/hostile")
	}
	for _, name := range []string{
		"TUF_MIRROR", "REKOR_URL", "FULCIO_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
		"http_proxy", "https_proxy",
	} {
		environment = append(environment, name+"=http://127.0.0.1:1")
	}
	return append(environment, "SIGSTORE_NO_CACHE=true", "COSIGN_EXPERIMENTAL=1", "COSIGN_OCI_EXPERIMENTAL=1",
		"COSIGN_MAX_ATTACHMENT_SIZE=1", "COSIGN_DOCKER_MEDIA_TYPES=1", "SIGSTORE_STAGING=1", "NO_PROXY=")
}

// offline runs tests of this package in a process without network or files.
func offline(t *testing.T, run string, environment ...string) (output string, err error) {
	t.Helper()
	// Tests that read source files judge nothing.
	command := exec.Command(os.Args[0], "-test.v", "-test.run", run, "-test.skip", "^Test(Imports|NothingReaches|OnlyVerify|Offline)")
	command.Env = append(hostile(), environment...)
	raw, err := command.CombinedOutput()
	return string(raw), err
}

// trouble is the part of an output that says what went wrong: from the first
// failure or signal on, not too much of it.
func trouble(output string) string {
	for _, sign := range []string{"SIGSYS", "_test.go:", "--- FAIL"} {
		if at := strings.Index(output, sign); at >= 0 {
			output = output[at:]
			break
		}
	}
	return output[:min(len(output), 4000)]
}

// Every verdict in these tests is reached without asking anybody: all of them
// run again where a single try would end the process, in a hostile environment.
func TestOffline(t *testing.T) {
	output, err := offline(t, "^Test")
	if err != nil {
		t.Fatalf("%v:\n%s", err, trouble(output))
	}
	for _, name := range []string{"TestVerifiedByTheKey", "TestFixtures", "TestStatements", "TestBundles", "TestCosignPayloads", "TestThreshold"} {
		if !strings.Contains(output, "--- PASS: "+name+" ") {
			t.Errorf("%s did not run", name)
		}
	}
}

// The test above sees what it is there to see.
func TestOfflineSees(t *testing.T) {
	for _, mode := range []string{"dial", "resolve", "exec", "open"} {
		if mode == "open" && testing.CoverMode() != "" {
			continue
		}
		t.Run(mode, func(t *testing.T) {
			output, err := offline(t, "^TestTheFilterIsThere$", "ASSAY_TEST_TRY="+mode)
			if err == nil || !strings.Contains(output, "SIGSYS") {
				t.Errorf("expected SIGSYS, found %v:\n%s", err, trouble(output))
			}
		})
	}
	if output, err := offline(t, "^TestTheFilterIsThere$"); err != nil {
		t.Errorf("a process that does none of these: %v:\n%s", err, trouble(output))
	}
}

// TestTheFilterIsThere does what it is told, in a process of TestOfflineSees.
func TestTheFilterIsThere(t *testing.T) {
	switch os.Getenv("ASSAY_TEST_TRY") {
	case "dial":
		_, err := net.Dial("tcp", "127.0.0.1:1")
		t.Log(err)
	case "resolve":
		_, err := (&net.Resolver{PreferGo: true}).LookupHost(t.Context(), "registry.example")
		t.Log(err)
	case "open":
		_, err := os.ReadFile("doc.go")
		t.Log(err)
	case "exec":
		t.Log(syscall.Exec("/bin/true", nil, nil))
	}
}
