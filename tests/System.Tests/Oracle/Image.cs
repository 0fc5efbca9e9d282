using ZeroFlow.SystemTests.Wire;

namespace ZeroFlow.SystemTests.Oracle;

/// <summary>What an export holds, sector by sector: of which write it is, zero, or null with a description.</summary>
internal sealed class Image
{
    private const int Piece = 1024 * 1024;

    private Image(int sectors) => States = new long?[sectors];

    public long?[] States { get; }

    public Dictionary<int, string> Foreign { get; } = [];

    public static async Task<Image> ReadAsync(int port, ImageHistory history)
    {
        var image = new Image(history.Sectors);
        await using var client = await NbdClient.ConnectAsync(port, history.Export);
        Assert.Equal((long)history.Sectors * SectorStamp.Bytes, client.Bytes);
        for (long offset = 0; offset < client.Bytes; offset += 4 * Piece)
        {
            var pieces = Enumerable.Range(0, 4).Select(i => offset + (i * Piece)).Where(at => at < client.Bytes);
            await Task.WhenAll(pieces.Select(at => image.ReadPieceAsync(client, history.Number, at)));
        }

        await client.DisconnectAsync();
        return image;
    }

    private async Task ReadPieceAsync(NbdClient client, uint export, long offset)
    {
        var data = new byte[Math.Min(Piece, client.Bytes - offset)];
        await client.ReadAsync(offset, data);
        for (var at = 0; at < data.Length; at += SectorStamp.Bytes)
        {
            var sector = (int)((offset + at) / SectorStamp.Bytes);
            var content = data.AsSpan(at, SectorStamp.Bytes);
            States[sector] = SectorStamp.Read(content, export, sector);
            if (States[sector] is not null) continue;
            lock (Foreign) Foreign[sector] = SectorStamp.Describe(content);
        }
    }
}
