using System.Net.Sockets;

namespace ZeroFlow.Nbd.Tests.Fixtures;

/// <summary>A socket as a stream that keeps all bytes that came, sealed as they are.</summary>
internal sealed class RecordedStream(Socket socket) : NetworkStream(socket, ownsSocket: false)
{
    private readonly MemoryStream _received = new();

    /// <summary>The types of the TLS records that came: 21 alert, 22 handshake, 23 data.</summary>
    public List<int> RecordTypes
    {
        get
        {
            List<int> types = [];
            byte[] bytes = _received.ToArray();
            for (int at = 0; at + 5 <= bytes.Length; at += 5 + (bytes[at + 3] << 8) + bytes[at + 4]) types.Add(bytes[at]);
            return types;
        }
    }

    public override int Read(Span<byte> buffer)
    {
        int count = base.Read(buffer);
        _received.Write(buffer[..count]);
        return count;
    }
}
