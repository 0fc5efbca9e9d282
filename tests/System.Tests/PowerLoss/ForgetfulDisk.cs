using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using ZeroFlow.SystemTests.Running;

namespace ZeroFlow.SystemTests.PowerLoss;

/// <summary>
/// A disk with a volatile write cache, as an NBD server. What was written is read back; what was written and not flushed
/// is, sector by sector, kept or lost when the power fails, by a draw. From then on every request fails until the power
/// comes back.
/// </summary>
internal sealed class ForgetfulDisk : IAsyncDisposable
{
    private const int SectorBytes = 512;
    private const ulong OptionMagic = 0x49484156454f5054;
    private const ushort Flags = 1 | 4; // NBD_FLAG_HAS_FLAGS, NBD_FLAG_SEND_FLUSH
    private const int IOError = 5;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, byte[]> _cached = [];
    private readonly FileStream _stable;
    private readonly long _bytes;
    private readonly TcpListener _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _connections = [];
    private readonly Task _accepting;
    private Action? _inFlush;
    private bool _isDead;

    /// <param name="file">What the platters hold.</param>
    /// <param name="bytes">Its size.</param>
    public ForgetfulDisk(string file, long bytes)
    {
        _stable = new FileStream(file, FileMode.Create, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        _stable.SetLength(bytes);
        _bytes = bytes;
        Port = FreePorts.Take();
        _listener = new TcpListener(IPAddress.Loopback, Port);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    public int Port { get; }

    /// <summary>FLUSHes that were answered.</summary>
    public int Flushes { get; private set; }

    /// <summary>Sectors that a loss of power took.</summary>
    public long Forgotten { get; private set; }

    private bool IsPowered
    {
        get
        {
            lock (_lock) return !_isDead;
        }
    }

    /// <summary>The power fails now: each sector that was not flushed survives with the given chance.</summary>
    public void CutPower(Random random, double survival)
    {
        lock (_lock)
        {
            _isDead = true;
            foreach (var (sector, data) in _cached)
            {
                if (random.NextDouble() < survival) RandomAccess.Write(_stable.SafeFileHandle, data, sector * SectorBytes);
                else Forgotten++;
            }

            _cached.Clear();
        }
    }

    /// <summary>The power fails in the middle of the next FLUSH, or after a second without one.</summary>
    public async Task CutPowerInFlushAsync(Random random, double survival)
    {
        lock (_lock) _inFlush = () => CutPower(random, survival);
        for (var i = 0; i < 100 && IsPowered; i++) await Task.Delay(10);
        if (IsPowered) CutPower(random, survival);
    }

    public void RestorePower()
    {
        lock (_lock) (_isDead, _inFlush) = (false, null);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        await Task.WhenAll(_connections);
        await _stable.DisposeAsync();
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true) _connections.Add(ServeAsync(await _listener.AcceptSocketAsync(_stop.Token)));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException)
        {
            // The disk is taken out.
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        socket.NoDelay = true;
        await using var stream = new NetworkStream(socket, ownsSocket: true);
        try
        {
            if (!await ShakeHandsAsync(stream)) return;
            var header = new byte[28];
            while (true)
            {
                await stream.ReadExactlyAsync(header, _stop.Token);
                if (!await AnswerAsync(stream, header)) return;
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The client went away.
        }
    }

    private async Task<bool> ShakeHandsAsync(NetworkStream stream)
    {
        var greeting = new byte[18];
        "NBDMAGICIHAVEOPT"u8.CopyTo(greeting);
        greeting[17] = 3;
        await stream.WriteAsync(greeting, _stop.Token);
        await stream.ReadExactlyAsync(new byte[4], _stop.Token);
        var header = new byte[16];
        while (true)
        {
            await stream.ReadExactlyAsync(header, _stop.Token);
            var option = BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(8));
            await stream.ReadExactlyAsync(new byte[BinaryPrimitives.ReadUInt32BigEndian(header.AsSpan(12))], _stop.Token);
            const uint Abort = 2, Go = 7, Info = 3, Acknowledged = 1, Unsupported = (1u << 31) + 1;
            if (option == Go)
            {
                var info = new byte[12];
                BinaryPrimitives.WriteInt64BigEndian(info.AsSpan(2), _bytes);
                BinaryPrimitives.WriteUInt16BigEndian(info.AsSpan(10), Flags);
                await ReplyAsync(stream, option, Info, info);
            }

            await ReplyAsync(stream, option, option is Go or Abort ? Acknowledged : Unsupported, []);
            if (option is Go or Abort) return option == Go;
        }
    }

    private async Task ReplyAsync(NetworkStream stream, uint option, uint type, byte[] data)
    {
        var reply = new byte[20 + data.Length];
        BinaryPrimitives.WriteUInt64BigEndian(reply, 0x3e889045565a9);
        BinaryPrimitives.WriteUInt32BigEndian(reply.AsSpan(8), option);
        BinaryPrimitives.WriteUInt32BigEndian(reply.AsSpan(12), type);
        BinaryPrimitives.WriteInt32BigEndian(reply.AsSpan(16), data.Length);
        data.CopyTo(reply, 20);
        await stream.WriteAsync(reply, _stop.Token);
    }

    private async Task<bool> AnswerAsync(NetworkStream stream, byte[] header)
    {
        var command = BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(6));
        var offset = BinaryPrimitives.ReadInt64BigEndian(header.AsSpan(16));
        var data = new byte[command is 0 or 1 ? BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(24)) : 0];
        if (command == 1) await stream.ReadExactlyAsync(data, _stop.Token);
        if (command == 2) return false;
        var isDone = Execute(command, offset, data);
        var reply = new byte[16];
        BinaryPrimitives.WriteUInt32BigEndian(reply, 0x67446698);
        if (!isDone) BinaryPrimitives.WriteInt32BigEndian(reply.AsSpan(4), IOError);
        header.AsSpan(8, 8).CopyTo(reply.AsSpan(8));
        await stream.WriteAsync(reply, _stop.Token);
        if (command == 0 && isDone) await stream.WriteAsync(data, _stop.Token);
        return true;
    }

    private bool Execute(int command, long offset, byte[] data)
    {
        lock (_lock)
        {
            if (_isDead) return false;
            switch (command)
            {
                case 0:
                    Read(offset, data);
                    return true;
                case 1:
                    for (var at = 0; at < data.Length; at += SectorBytes)
                        _cached[(offset + at) / SectorBytes] = data.AsSpan(at, SectorBytes).ToArray();
                    return true;
                case 3 when _inFlush is { } cut:
                    cut();
                    return false;
                case 3:
                    foreach (var (sector, content) in _cached)
                        RandomAccess.Write(_stable.SafeFileHandle, content, sector * SectorBytes);
                    _cached.Clear();
                    Flushes++;
                    return true;
                default:
                    return false;
            }
        }
    }

    private void Read(long offset, byte[] data)
    {
        RandomAccess.Read(_stable.SafeFileHandle, data, offset);
        for (var at = 0; at < data.Length; at += SectorBytes)
        {
            if (_cached.TryGetValue((offset + at) / SectorBytes, out var content)) content.CopyTo(data, at);
        }
    }
}
