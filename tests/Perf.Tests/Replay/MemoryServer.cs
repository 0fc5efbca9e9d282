using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace ZeroFlow.Perf.Tests.Replay;

// A small NBD server over memory: GO, simple replies, one request after the other. Tests make it late or wrong.
internal sealed class MemoryServer : IDisposable
{
    private const ushort Offers = 0b1_0110_1101;

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly byte[] _data;

    public MemoryServer(int bytes)
    {
        _data = new byte[bytes];
        _listener.Start();
        new Thread(Accept) { IsBackground = true }.Start();
    }

    public NbdUri Uri => new("127.0.0.1", ((IPEndPoint)_listener.LocalEndpoint).Port, null, "");

    // Runs before each request is carried out: command, offset, and its ordinal; false loses a write.
    public Func<ushort, long, int, bool> Before { get; set; } = (_, _, _) => true;

    public int Requests { get; private set; }

    public List<(ushort Flags, ushort Command)> Seen { get; } = [];

    public void Dispose() => _listener.Dispose();

    private void Accept()
    {
        try
        {
            while (true)
            {
                var client = _listener.AcceptTcpClient();
                client.NoDelay = true;
                new Thread(() => Serve(client)) { IsBackground = true }.Start();
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // The test is over.
        }
    }

    private void Serve(TcpClient client)
    {
        try
        {
            using var stream = client.GetStream();
            stream.Write([.. "NBDMAGIC"u8, .. "IHAVEOPT"u8, 0, 3]);
            var head = new byte[20];
            stream.ReadExactly(head);
            stream.ReadExactly(new byte[BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(16))]);
            byte[] info = new byte[12];
            BinaryPrimitives.WriteInt64BigEndian(info.AsSpan(2), _data.Length);
            BinaryPrimitives.WriteUInt16BigEndian(info.AsSpan(10), Offers);
            stream.Write([.. Recording.NbdBytes.Reply(7, 3, info), .. Recording.NbdBytes.Reply(7, 1, [])]);
            while (Answer(stream))
            {
            }
        }
        catch (IOException)
        {
            // The client hung up.
        }
    }

    private bool Answer(NetworkStream stream)
    {
        var header = new byte[28];
        stream.ReadExactly(header);
        var command = BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(6));
        var offset = BinaryPrimitives.ReadInt64BigEndian(header.AsSpan(16));
        var length = BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(24));
        var payload = new byte[command == 1 ? length : 0];
        stream.ReadExactly(payload);
        if (command == 2) return false;
        var read = new byte[command == 0 ? length : 0];
        lock (Seen)
        {
            Seen.Add((BinaryPrimitives.ReadUInt16BigEndian(header.AsSpan(4)), command));
            var carried = Before(command, offset, Requests++);
            if (command == 1 && carried) payload.CopyTo(_data, offset);
            _data.AsSpan((int)offset, read.Length).CopyTo(read);
            if (command is 4 or 6) _data.AsSpan((int)offset, length).Clear();
        }

        byte[] reply = [.. Recording.NbdBytes.U32(0x67446698), 0, 0, 0, 0, .. header[8..16]];
        stream.Write([.. reply, .. read]);
        return true;
    }
}
