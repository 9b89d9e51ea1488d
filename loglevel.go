package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
)

// levelInterval is how often --log-level-file is read.
const levelInterval = 5 * time.Second

// logger returns a log of that format whose level may be changed.
func logger(level, format string, at *slog.LevelVar) (logr.Logger, error) {
	l, err := parseLevel(level)
	if err != nil {
		return logr.Logger{}, fmt.Errorf("--log-level: %w", err)
	}
	at.Set(l)
	options := &slog.HandlerOptions{Level: at}
	switch format {
	case "json":
		return logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, options)), nil
	case "text":
		return logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, options)), nil
	default:
		return logr.Logger{}, fmt.Errorf("--log-format: expected json or text, found %q", format)
	}
}

func parseLevel(text string) (slog.Level, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[strings.ToLower(text)]
	if !ok {
		return 0, fmt.Errorf("expected debug, info, warn or error, found %q", text)
	}
	return l, nil
}

// followLevel sets the level that a file names, until ctx ends, and the one from
// before while there is no such file. What is no level changes nothing, and is
// said once.
func followLevel(ctx context.Context, file string, at *slog.LevelVar, log logr.Logger) {
	otherwise, said := at.Level(), ""
	ticks := time.NewTicker(levelInterval)
	defer ticks.Stop()
	for {
		level, err := readLevel(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			level, err = otherwise, nil
		case err != nil && err.Error() != said:
			log.Error(err, "--log-level-file", "kept", at.Level().String())
		}
		if said = ""; err != nil {
			said = err.Error()
		} else if level != at.Level() {
			setLevel(at, level, log)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// setLevel says so while it is still shown, or already.
func setLevel(at *slog.LevelVar, level slog.Level, log logr.Logger) {
	say := func() { log.Info("the log's level is changed", "to", level.String()) }
	if at.Level() <= slog.LevelInfo {
		say()
		at.Set(level)
		return
	}
	at.Set(level)
	say()
}

func readLevel(file string) (slog.Level, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, err
	}
	return parseLevel(strings.TrimSpace(string(text)))
}
