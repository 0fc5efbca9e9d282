using System.Globalization;

namespace ZeroFlow.Perf.Peers;

/// <summary>
/// s3backer: a file of fixed blocks over S3, through FUSE, put behind nbdkit so that the same client measures it. Its
/// fsync does nothing: only its write-through mode holds what it has answered.
/// </summary>
internal static class S3Backer
{
    /// <summary>It prints its version where errors go.</summary>
    public const string VersionCommand = "sh -c \"s3backer --version 2>&1\"";

    private const string BlockBytes = "128k";

    // $1 base URL, $2 bucket, $3 prefix, $4 size, $5 port, then further options. The mount ends before the directory is
    // deleted, or its file would be deleted with it.
    private const string Script =
        """
        set -eu
        url=$1 bucket=$2 prefix=$3 size=$4 port=$5
        shift 5
        mkdir mnt
        (umask 077; printf '%s:%s\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >access)
        nbd=
        s3backer --accessFile="$PWD/access" --authVersion=aws4 --baseURL="$url" --prefix="$prefix" --size="$size" \
          "$@" -f "$bucket" "$PWD/mnt" &
        backer=$!
        end() {
          trap - TERM EXIT
          # Both may be in the middle of what takes minutes: their directory must be free in time all the same.
          [ -z "$nbd" ] || kill "$nbd" || true
          for step in $(seq 50); do [ -n "$nbd" ] && kill -0 "$nbd" || break; sleep 0.1; done
          [ -z "$nbd" ] || kill -KILL "$nbd" || true
          fusermount3 -u mnt || umount mnt || umount -l mnt || true
          for step in $(seq 100); do kill -0 "$backer" || break; sleep 0.1; done
          kill -KILL "$backer" || true
        }
        trap 'end; exit 0' TERM
        trap end EXIT
        until [ -e mnt/file ]; do kill -0 "$backer"; sleep 0.1; done
        nbdkit --foreground --exit-with-parent --threads 16 --ipaddr 127.0.0.1 --port "$port" file mnt/file &
        nbd=$!
        wait "$nbd"
        """;

    /// <summary>Every write waits for its PUT.</summary>
    public static IReadOnlyList<string> WriteThrough { get; } =
    [
        "--md5CacheSize=0", "--md5CacheTime=0", "--minWriteDelay=0", "--blockCacheSync", "--blockCacheWriteDelay=0",
    ];

    /// <summary>Writes are answered from memory; no delays, which were for stores of eventual consistency.</summary>
    public static IReadOnlyList<string> WriteBack { get; } =
    [
        "--md5CacheSize=0", "--md5CacheTime=0", "--minWriteDelay=0", "--blockCacheThreads=32", "--readAhead=16",
    ];

    /// <summary>Program and arguments for a store of the form that <c>zeroflow serve</c> takes.</summary>
    /// <exception cref="FormatException">There is no store, or it is not S3 at an endpoint.</exception>
    public static IReadOnlyList<string> Arguments(PeerContext context, int port, IReadOnlyList<string> options)
    {
        var url = context.StoreUrl is { } text && text.StartsWith("s3://", StringComparison.Ordinal)
            ? new Uri(text)
            : throw new FormatException("s3backer needs an object store of the form s3://BUCKET/PREFIX?endpoint=URL.");
        var endpoint = url.Query.TrimStart('?').Split('&')
            .FirstOrDefault(part => part.StartsWith("endpoint=", StringComparison.Ordinal))?["endpoint=".Length..]
            ?? throw new FormatException("s3backer needs the endpoint of its object store.");
        return
        [
            "-c", Script, "s3backer", $"{endpoint.TrimEnd('/')}/", url.Host, $"{url.AbsolutePath.Trim('/')}/",
            context.ExportBytes.ToString(CultureInfo.InvariantCulture), port.ToString(CultureInfo.InvariantCulture),
            $"--blockSize={BlockBytes}", .. options,
        ];
    }
}
