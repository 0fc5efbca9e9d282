using System.Text.Json;
using System.Text.Json.Serialization;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Chain;

/// <summary>A change of the catalog: a record of the commit order like any write. Encoded as JSON, named by its kind.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "op", UnknownDerivedTypeHandling = JsonUnknownDerivedTypeHandling.FailSerialization)]
[JsonDerivedType(typeof(CreateExport), "create-export")]
[JsonDerivedType(typeof(SetLevel), "set-level")]
internal abstract record CatalogChange
{
    /// <summary>Makes an export.</summary>
    public sealed record CreateExport(uint Id, string Name, long SizeBytes, int ChunkBytes, DurabilityLevel Level) : CatalogChange
    {
        public static CreateExport From(ExportInfo info) =>
            new(info.Id.Value, info.Name, info.SizeBytes, info.ChunkBytes, info.Level);

        public ExportInfo ToInfo() => new(new ExportId(Id), Name, SizeBytes, ChunkBytes, Level);
    }

    /// <summary>Changes what FLUSH of an export waits for.</summary>
    public sealed record SetLevel(uint Id, DurabilityLevel Level) : CatalogChange;

    public byte[] Encode() => JsonSerializer.SerializeToUtf8Bytes(this, CatalogJson.Default.CatalogChange);

    /// <exception cref="StorageFaultException">A newer program wrote a change that this one does not know.</exception>
    public static CatalogChange Decode(ReadOnlySpan<byte> encoded)
    {
        try
        {
            return JsonSerializer.Deserialize(encoded, CatalogJson.Default.CatalogChange) ?? throw new JsonException("null");
        }
        catch (Exception unknown) when (unknown is JsonException or NotSupportedException)
        {
            throw new StorageFaultException(
                FaultKind.Invalid, "The store's catalog holds a change that this program does not know. Use a newer ZeroFlow.", unknown);
        }
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower,
    UseStringEnumConverter = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(CatalogChange))]
internal sealed partial class CatalogJson : JsonSerializerContext;
