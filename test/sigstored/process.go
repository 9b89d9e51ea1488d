package sigstored

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// maxLog bounds how much of a log is shown, in bytes.
const maxLog = 8 << 10

// process is a program of the stack that runs.
type process struct {
	name  string
	cmd   *exec.Cmd
	file  string        // of its log
	ready chan string   // the first line that it printed; closed where there is none
	done  chan struct{} // closed at its end
}

// start starts a program, which ends with this one at the latest.
func (s *Stack) start(name string, args ...string) (*process, error) {
	p := &process{
		name: name, file: s.file(fmt.Sprintf("%s-%d.log", name, len(s.processes))),
		ready: make(chan string, 1), done: make(chan struct{}),
	}
	log, err := os.Create(p.file)
	if err != nil {
		return nil, err
	}
	defer log.Close() // The child has it by then.
	p.cmd = exec.Command(filepath.Join(s.Assets, name), args...)
	p.cmd.Stderr, p.cmd.Dir = log, s.dir
	p.cmd.Env = []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH")}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	tieToParent(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	s.processes = append(s.processes, p)
	go p.follow(stdout)
	return p, nil
}

// follow reads the first line, and what comes after it, until the end.
func (p *process) follow(stdout io.Reader) {
	defer close(p.done)
	reader := bufio.NewReader(stdout)
	if line, err := reader.ReadString('\n'); err == nil {
		p.ready <- strings.TrimSpace(line)
	}
	close(p.ready)
	_, _ = io.Copy(io.Discard, reader) // Until the program ends, however that reads.
	_ = p.cmd.Wait()                   // It is killed, or its log says why it ended.
}

// url is where a program listens that prints its address once it does.
func (p *process) url(ctx context.Context) (string, error) {
	select {
	case address, ok := <-p.ready:
		if ok {
			return "http://" + address, nil
		}
		return "", p.failed(errors.New("it ended"))
	case <-ctx.Done():
		return "", p.failed(ctx.Err())
	}
}

// answers waits until an address answers 200.
func (p *process) answers(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return p.failed(errors.New("it ended"))
		case <-ctx.Done():
			return p.failed(ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// failed is an error with what the program said last.
func (p *process) failed(err error) error {
	return fmt.Errorf("%s: %w; its log:\n%s", p.name, err, p.log())
}

// log is the end of what the program said.
func (p *process) log() []byte {
	content, err := os.ReadFile(p.file)
	if err != nil {
		return []byte(err.Error())
	}
	return fmt.Appendf(nil, "%s:\n%s\n", p.name, content[max(0, len(content)-maxLog):])
}

// stop ends the program, and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Kill() // An error where it has ended.
	<-p.done
}
