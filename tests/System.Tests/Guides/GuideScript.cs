using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.Guides;

/// <summary>
/// The blocks of one page as scripts for bash, as they stand, but for names that belong to a whole machine: addresses and
/// ports, the directories of the package, buckets (which become directories), and scripts/run.sh.
/// </summary>
internal sealed partial class GuideScript(TestFolder folder)
{
    private const int PortsEach = 12;

    // 10809 and the eleven behind it, for each of the machines a to d.
    private readonly int _ports = FreePorts.Take(4 * PortsEach);

    /// <summary>What runs here, with points at which it waits for the guest, if there is one.</summary>
    /// <param name="blocks">The blocks, in order.</param>
    /// <param name="binary">The program.</param>
    /// <param name="guestJobs">Where the guest finds files to wait for; null without one.</param>
    public string Here(IReadOnlyList<CommandBlock> blocks, string binary, string? guestJobs)
    {
        Shim("zeroflow", binary);
        Shim("sudo", null);
        Shim("scp", "cp");
        var script = new StringBuilder(Prelude());
        for (int i = 0; i < blocks.Count; i++)
        {
            CommandBlock block = blocks[i];
            if (block.Kind == BlockKind.Run)
            {
                script.AppendLine(CultureInfo.InvariantCulture, $"at {block.Where} {block.Host}");
                script.AppendLine(WithWaits(Substitute(block, "127.0.0.1")));
            }
            else if (block.Kind == BlockKind.Guest && guestJobs is not null)
            {
                script.AppendLine(CultureInfo.InvariantCulture, $"touch '{guestJobs}/{Signal(i, "go")}'; until [ -e '{guestJobs}/{Signal(i, "done")}' ]; do sleep 0.2; done");
            }
        }

        return script.AppendLine("echo PLAYED").ToString();
    }

    /// <summary>What runs in the guest, for whom <paramref name="host"/> is this machine.</summary>
    public string InGuest(IReadOnlyList<CommandBlock> blocks, string host)
    {
        var script = new StringBuilder(
            """
            load_zfs
            for directory in /etc/zfs /usr/local/sbin; do mkdir -p $directory && mount -t tmpfs tmpfs $directory; done
            install -d -o postgres -g postgres /run/postgresql
            set -eu
            PATH=/usr/local/sbin:$PATH

            """);
        for (int i = 0; i < blocks.Count; i++)
        {
            if (blocks[i].Kind != BlockKind.Guest) continue;
            script.AppendLine(CultureInfo.InvariantCulture, $"until [ -e '/jobs/{Signal(i, "go")}' ]; do sleep 0.2; done");
            script.AppendLine(CultureInfo.InvariantCulture, $"say '{blocks[i].Where}'");
            script.AppendLine(Substitute(blocks[i], host));
            script.AppendLine(CultureInfo.InvariantCulture, $"touch '/jobs/{Signal(i, "done")}'");
        }

        return script.ToString();
    }

    /// <summary>Deletes what the two waited for.</summary>
    public void Forget(string guestJobs)
    {
        foreach (string file in Directory.EnumerateFiles(guestJobs, folder.Name + ".*")) File.Delete(file);
    }

    private static char HostOf(string address, char self) => address switch
    {
        "10.1.0.1" => 'a',
        "10.1.0.2" => 'b',
        "10.1.0.3" => 'c',
        "10.1.0.4" => 'd',
        _ => self,
    };

    // A server in the background is ready before the next line.
    private static string WithWaits(string commands)
    {
        var lines = new StringBuilder();
        bool isServer = false;
        foreach (string line in commands.Split('\n'))
        {
            lines.AppendLine(line);
            isServer |= line.Contains("zeroflow serve", StringComparison.Ordinal);
            string code = line.Split(" #")[0].TrimEnd();
            if (isServer && code.EndsWith('&')) lines.AppendLine("started");
            isServer &= code.EndsWith('\\');
        }

        return lines.ToString();
    }

    private string Signal(int block, string what) => $"{folder.Name}.{block}.{what}";

    private int Port(char host, int port) => _ports + ((host - 'a') * PortsEach) + port - 10809;

    private string Substitute(CommandBlock block, string loopback)
    {
        string text = Address().Replace(block.Text, match =>
        {
            int port = int.Parse(match.Groups["port"].Value, CultureInfo.InvariantCulture);
            return loopback + match.Groups["between"].Value + Port(HostOf(match.Groups["host"].Value, block.Host), port).ToString(CultureInfo.InvariantCulture);
        });
        text = Bucket().Replace(text, match => $"file://{folder.Make("bucket-" + match.Groups[1].Value)}");
        text = Remote().Replace(text, match => folder[HostOf(match.Groups[1].Value, block.Host).ToString()]);
        text = PackageDirectory().Replace(text, match => folder[block.Host.ToString()] + match.Value);
        return text.Replace("scripts/run.sh", "zeroflow serve", StringComparison.Ordinal);
    }

    private void Shim(string name, string? program)
    {
        string file = Path.Combine(folder.Make("bin"), name);
        File.WriteAllText(file, $"#!/bin/sh\nexec {program} \"$@\"\n");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private string Prelude()
    {
        foreach (char host in "abcd")
        {
            foreach (string directory in new[] { "var/lib/zeroflow", "etc/zeroflow", "run/zeroflow" })
                folder.Make($"{host}/{directory}");
        }

        string ports = string.Join(' ', "abcd".Select(host => $"[{host}]={Port(host, 10809)}"));
        return $$"""
            set -euo pipefail
            export PATH='{{folder["bin"]}}':/usr/bin:/bin:$PATH:/usr/sbin:/sbin
            declare -A ports=({{ports}})
            host=
            trap 'kill -9 $(jobs -p) 2> /dev/null || true' EXIT
            at() {
              echo "== $1"
              [ "$host" = "$2" ] && return
              host=$2
              cd '{{folder.Path}}'/$host
              export ZEROFLOW__LISTEN=127.0.0.1:${ports[$host]} ZEROFLOW__ADMIN__LISTEN=127.0.0.1:$((ports[$host] + 1))
              export ZEROFLOW_ADMIN=$ZEROFLOW__ADMIN__LISTEN
            }
            # Every machine has a shell of its own, which counts its own jobs.
            declare -A jobs=()
            kill() {
              local words=() word
              for word; do
                [[ $word == %* ]] && word=${jobs[$host$word]}
                words+=("$word")
              done
              builtin kill "${words[@]}"
            }
            wait() {
              local status=0
              builtin wait "${jobs[$host$1]}" || status=$?
              unset "jobs[$host$1]"
              return $status
            }
            # The server that was just started is ready.
            started() {
              local url pid=$! number=1
              while [ -n "${jobs[$host%$number]:-}" ]; do number=$((number + 1)); done
              jobs[$host%$number]=$pid
              for ((i = 0; i < 600; i++)); do
                kill -0 $pid || { echo "the server ended"; exit 1; }
                grep -qz -x serve /proc/$pid/cmdline || { sleep 0.1; continue; }
                url=$(tr '\0' '\n' < /proc/$pid/cmdline | grep -A 1 -x -e --admin | tail -n 1) || true
                curl -fs -o /dev/null "http://${url:-127.0.0.1:$((ports[$host] + 1))}/readyz" && return
                sleep 0.1
              done
              echo "the server is not ready"
              exit 1
            }

            """;
    }

    [GeneratedRegex(@"(?<host>127\.0\.0\.1|10\.1\.0\.[1-4])(?<between>[: ]|,port=|,server\.port=)(?<port>108(?:09|1\d|20))\b")]
    private static partial Regex Address();

    [GeneratedRegex("""s3://([\w-]+)[^'"\s]*""")]
    private static partial Regex Bucket();

    [GeneratedRegex(@"(10\.1\.0\.[1-4]):(?=/)")]
    private static partial Regex Remote();

    [GeneratedRegex(@"(?<![\w/])/(?:var/lib|etc|run)/zeroflow\b")]
    private static partial Regex PackageDirectory();
}
